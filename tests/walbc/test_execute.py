"""Attempts, waiting and ending, over a transport that plays a script."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from walbc import execute
from walbc.options import Request, parse
from walbd.model.error import PeerUnreachable, ProtocolViolation, Refused, WalbError
from walbd.net.messages import Progress

Step = WalbError | KeyboardInterrupt | list[str]
CUT = PeerUnreachable("connection cut")


class Script:
    """A transport. Each attempt takes the next step; `accepts` says whether the server accepts first."""

    def __init__(self, *steps: Step, accepts: bool = False) -> None:
        self.steps = list(steps)
        self.accepts = accepts

    def ask(
        self, request: Request, on_accept: Callable[[], None], on_progress: Callable[[Progress], None]
    ) -> list[str]:
        if self.accepts:
            on_accept()
            on_progress(Progress(1, 2, "bytes", "copy"))
        step = self.steps.pop(0)
        if isinstance(step, BaseException):
            raise step
        return step


def request(*words: str) -> Request:
    return parse(["-a", "host1", "-p", "10000", "-id", "me", *words])


@pytest.fixture(autouse=True)
def no_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute.time, "sleep", lambda sec: None)


def test_a_failed_connection_is_tried_again_and_said_so(capsys: pytest.CaptureFixture[str]) -> None:
    transport = Script(CUT, CUT, ["Archived"])
    assert execute.execute(request("get", "state", "vol0"), transport) == ["Archived"]
    expected = "error: connection cut\nretry 1\nerror: connection cut\nretry 2\n"
    assert capsys.readouterr().err == expected


def test_attempts_end_at_the_number_asked_for() -> None:
    transport = Script(CUT, CUT, ["never"])
    with pytest.raises(PeerUnreachable):
        execute.execute(request("-retry", "1", "status"), transport)
    assert transport.steps == [["never"]]


@pytest.mark.parametrize("error", [Refused("no such target:x"), ProtocolViolation("it speaks HTTP")])
def test_what_another_attempt_cannot_change_is_not_tried_again(error: WalbError) -> None:
    transport = Script(error, ["never"])
    with pytest.raises(type(error)):
        execute.execute(request("status"), transport)
    assert transport.steps == [["never"]]


def test_a_command_that_changes_something_is_never_repeated() -> None:
    transport = Script(CUT, ["never"])
    with pytest.raises(PeerUnreachable):
        execute.execute(request("snapshot", "vol0"), transport)
    assert transport.steps == [["never"]]


def test_without_wait_nothing_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute.execute(request("restore", "vol0", "5"), Script([], accepts=True)) == []
    assert capsys.readouterr() == ("", "")


def test_waiting_shows_progress_and_the_end_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute.execute(request("restore", "vol0", "5", "--wait"), Script(["x"], accepts=True)) == ["x"]
    output = capsys.readouterr()
    assert output.err.splitlines() == ["restore vol0: copy 50%, 1 B/2 B", "restore vol0: done, 1 B in 0:00"]
    assert output.out == ""


def test_waiting_on_a_terminal_draws_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute.console, "is_terminal", lambda: True)
    execute.execute(request("restore", "vol0", "5", "--wait"), Script([], accepts=True))
    assert capsys.readouterr().err.startswith("\rrestore vol0: [")


def test_work_that_fails_says_so_after_its_progress(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Refused):
        execute.execute(request("restore", "vol0", "5", "--wait"), Script(Refused("bad gid"), accepts=True))
    assert capsys.readouterr().err.splitlines()[-1] == "restore vol0: failed, 1 B in 0:00"


def test_a_refusal_before_the_work_begins_shows_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Refused):
        execute.execute(request("restore", "vol0", "5", "--wait"), Script(Refused("bad gid")))
    assert capsys.readouterr().err == ""


def test_a_connection_lost_while_waiting_says_that_the_work_may_go_on() -> None:
    with pytest.raises(PeerUnreachable) as caught:
        execute.execute(request("restore", "vol0", "5", "--wait"), Script(CUT, accepts=True))
    assert str(caught.value) == "connection cut (hint: the server may go on with it; 'get tasks' tells)"


def test_a_connection_lost_before_the_answer_says_that_nothing_is_known() -> None:
    with pytest.raises(PeerUnreachable, match="look before repeating it"):
        execute.execute(request("snapshot", "vol0"), Script(CUT))


def test_ctrl_c_while_waiting_says_that_the_work_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        execute.execute(request("stop", "vol0", "--wait"), Script(KeyboardInterrupt(), accepts=True))
    assert "interrupted, the server goes on" in capsys.readouterr().err


class EndingServer:
    """Takes a shutdown, then answers `get pid` by a script that ends with the last step for ever."""

    def __init__(self, end: Step, *pids: Step, accepts: bool = True) -> None:
        self.end = end
        self.pids = list(pids)
        self.accepts = accepts

    def ask(
        self, request: Request, on_accept: Callable[[], None], on_progress: Callable[[Progress], None]
    ) -> list[str]:
        step = self.end
        if request.command.name == "get":
            step = self.pids.pop(0) if self.pids[1:] else self.pids[0]
        elif self.accepts:
            on_accept()
        if isinstance(step, BaseException):
            raise step
        return step


def nobody_listens() -> PeerUnreachable:
    error = PeerUnreachable("cannot connect")
    error.__cause__ = ConnectionRefusedError()
    return error


@pytest.mark.parametrize("end", [[], CUT, Refused("server a0 is shutting down")])
@pytest.mark.parametrize("last", [nobody_listens(), ["18"]])
def test_shutdown_waits_until_the_server_is_gone_or_replaced_however_the_connection_ended(
    end: Step, last: Step, capsys: pytest.CaptureFixture[str]
) -> None:
    busy = Refused("exceeds max control connections")
    server = EndingServer(end, ["17"], *[["17"], CUT, busy, CUT] * 20, last)
    assert execute.execute(request("shutdown", "--wait"), server) == []
    assert server.pids == [last]
    assert capsys.readouterr().err == "shutdown: done in 0:00\n"


@pytest.mark.parametrize("error", [CUT, Refused("bad option")])
def test_a_shutdown_that_was_not_accepted_is_an_error(error: WalbError) -> None:
    with pytest.raises(type(error)):
        execute.execute(request("shutdown", "--wait"), EndingServer(error, ["17"], accepts=False))


def test_a_shutdown_whose_end_cannot_be_seen_is_an_error() -> None:
    with pytest.raises(PeerUnreachable, match="connection cut"):
        execute.execute(request("shutdown", "--wait"), EndingServer([], ["17"], CUT))


def test_debug_says_on_stderr_what_happens(capsys: pytest.CaptureFixture[str]) -> None:
    execute.execute(request("-debug", "status"), Script(["a", "b"]))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" ", 2)[2] for line in lines] == [
        "DEBUG walbc status to host1:10000 as me",
        "DEBUG walbc 2 values answered",
    ]
