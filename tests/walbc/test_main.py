"""The whole program against a real server on the loopback: output, errors, exit statuses."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from typing import Any

import pytest

from walbc.main import main
from walbd.model.error import BadState, Refused
from walbd.net.control import ControlRequest, control_conversation
from walbd.net.handshake import Identity
from walbd.net.server import Server
from walbd.world.network import SocketListener
from walbd.world.world import World

Handler = Callable[[ControlRequest], Awaitable[Sequence[str] | None]]
ERROR_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} ERROR walbc error: (.*)\n")
WITHIN_SEC = 30


class Archive:
    """A server in a thread of its own, with made-up commands."""

    def __init__(self) -> None:
        self.world = World()
        self.requests: list[ControlRequest] = []
        self.arrived = threading.Event()
        self.release = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.port = 0
        self._do(self._start())

    @property
    def address(self) -> list[str]:
        return ["-a", "127.0.0.1", "-p", str(self.port)]

    def stop_listening(self) -> None:
        self._do(self._end_serving())

    def close(self) -> None:
        self.release.set()
        self._do(self._end_serving())
        self._do(self._server.end_connections())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WITHIN_SEC)
        self._loop.close()

    def _do(self, step: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(step, self._loop).result(WITHIN_SEC)

    async def _start(self) -> None:
        handlers: dict[str, Handler] = {
            "get": self._echo,
            "status": self._many_lines,
            "restore": self._work,
            "stop": self._fail_late,
            "start": self._refuse,
            "sleep": self._hang,
            "shutdown": self._shut_down,
        }
        self._server = Server(
            self.world,
            Identity("a0", "archive"),
            {name: control_conversation(self._noting(handler)) for name, handler in handlers.items()},
            lambda who, error: None,
        )
        listener: SocketListener = self.world.network.listen("127.0.0.1", 0)
        self.port = listener.port
        self._serving = asyncio.create_task(self._server.serve(listener))

    async def _end_serving(self) -> None:
        self._serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._serving

    def _noting(self, handler: Handler) -> Handler:
        async def handle(request: ControlRequest) -> Sequence[str] | None:
            self.requests.append(request)
            self.arrived.set()
            return await handler(request)

        return handle

    async def _echo(self, request: ControlRequest) -> Sequence[str]:
        return [request.peer_id, request.peer_kind, *request.params]

    async def _many_lines(self, _: ControlRequest) -> Sequence[str]:
        return ["hostType\tarchive", "bell \a", "caf\u00e9"]

    async def _work(self, request: ControlRequest) -> Sequence[str]:
        await request.accept()
        request.progress(512, 1024, "bytes", "copy")
        await self.world.run(self.release.wait, WITHIN_SEC)
        return []

    async def _fail_late(self, request: ControlRequest) -> None:
        await request.accept()
        raise BadState("bad state:Clear\n<<<STACKTRACE>>> 0x1")

    async def _refuse(self, _: ControlRequest) -> None:
        raise Refused("bad state:vol0:Clear", "init it first")

    async def _hang(self, _: ControlRequest) -> None:
        await self.world.run(self.release.wait, WITHIN_SEC)

    async def _shut_down(self, request: ControlRequest) -> None:
        await request.accept()
        self._serving.cancel()


@pytest.fixture
def archive() -> Iterator[Archive]:
    server = Archive()
    try:
        yield server
    finally:
        server.close()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def error_of(text: str) -> str:
    match = ERROR_LINE.fullmatch(text)
    assert match, text
    return match[1]


def test_values_are_printed_one_per_line(archive: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*archive.address, "-to", "1000000", "-id", "me", "get", "state", "vol0"]) == 0
    assert capsys.readouterr() == ("me\nwalbc\nstate\nvol0\n", "")


def test_tabs_stay_and_other_control_characters_are_shown(archive: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*archive.address, "status"]) == 0
    assert capsys.readouterr().out == "hostType\tarchive\nbell \\x07\ncaf\u00e9\n"


def test_an_asynchronous_command_ends_when_accepted(archive: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*archive.address, "restore", "vol0", "5"]) == 0
    assert capsys.readouterr() == ("", "")


def test_with_wait_it_ends_with_the_work(archive: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    archive.release.set()
    assert main([*archive.address, "restore", "vol0", "5", "--wait"]) == 0
    output = capsys.readouterr()
    assert output.out == ""
    assert re.search(r"restore vol0: done(, 512 B)? in \d+:\d\d\n$", output.err)


def test_with_wait_a_failure_of_the_work_is_the_commands(archive: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*archive.address, "stop", "vol0"]) == 0
    assert capsys.readouterr().err == ""
    assert main([*archive.address, "stop", "vol0", "--wait"]) == 1
    progress, error = capsys.readouterr().err.splitlines(keepends=True)
    assert progress.startswith("stop vol0: failed in ")
    assert error_of(error) == "bad state:Clear"


def test_a_refusal_is_one_line_with_its_hint(archive: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*archive.address, "start", "vol0"]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert error_of(output.err) == "bad state:vol0:Clear (hint: init it first)"


def test_a_command_the_server_does_not_know_is_refused_by_name(
    archive: Archive, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*archive.address, "-id", "me", "snapshot", "vol0"]) == 1
    told = error_of(capsys.readouterr().err)
    assert told.startswith("bad protocol:snapshot:me")
    assert told.endswith("(hint: snapshot is for a storage; 'get host-type' tells what this server is)")


def test_a_wrong_parameter_never_reaches_the_server(archive: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*archive.address, "get", "state", "../x"]) == 1
    assert main([*archive.address, "get", "nothing"]) == 1
    assert not archive.requests
    assert "bad volId format" in capsys.readouterr().err


def test_nobody_listening_is_said_with_the_address(capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    assert main(["-a", "127.0.0.1", "-p", str(port), "snapshot", "vol0"]) == 1
    assert error_of(capsys.readouterr().err).startswith(f"cannot connect to 127.0.0.1:{port}: Connection refused")


def test_an_address_of_ipv6_is_understood(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-a", "::1", "-p", str(free_port()), "snapshot", "vol0"]) == 1
    assert "cannot connect to [::1]:" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["no..such..host", "x" * 64, "two words", ""])
def test_a_host_that_cannot_be_one_is_one_line(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-a", host, "-p", "1", "snapshot", "vol0"]) == 1
    assert error_of(capsys.readouterr().err).startswith(f"bad host name:{host}")


def test_an_unknown_host_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-a", "host.invalid", "-p", "1", "snapshot", "vol0"]) == 1
    error = error_of(capsys.readouterr().err)
    assert error.startswith("cannot connect to host.invalid:1")
    assert error.endswith("(hint: is the name right, and does this host know it?)")


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.0 400 Bad Request\r\n\r\n", b"\xffWLB\x63\0\0\0\0\0\0\0\0\0\0\0", b"\xffWL"]
)
def test_a_peer_that_is_no_walb_server_is_one_line(answer: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.sendall(answer)
                peer.shutdown(socket.SHUT_WR)
                with contextlib.suppress(ConnectionResetError):
                    while peer.recv(4096):
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        port = listener.getsockname()[1]
        assert main(["-a", "127.0.0.1", "-p", str(port), "snapshot", "vol0"]) == 1
        thread.join(WITHIN_SEC)
    assert error_of(capsys.readouterr().err)


def test_a_silent_server_is_given_up_after_the_time_out(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert main(["-a", "127.0.0.1", "-p", str(port), "-to", "1", "snapshot", "vol0"]) == 1
    assert "was silent for 1 s" in error_of(capsys.readouterr().err)


def test_shutdown_waits_until_the_server_is_gone(archive: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*archive.address, "shutdown", "--wait"]) == 0
    assert "shutdown: done in " in capsys.readouterr().err


def test_an_option_error_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-x"]) == 1
    assert capsys.readouterr() == ("", "OptionError:bad opt:-x (hint: walbc -h lists options and commands)\n")
    assert main(["-a", "h", "-p", "1", "\n"]) == 1
    assert capsys.readouterr().err.startswith("OptionError:bad command:\\n (hint: ")


def test_help_goes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-h"]) == 0
    assert main([]) == 1
    output = capsys.readouterr()
    assert output.out.count("usage: walbc ") == 2
    assert output.err == ""


def run_program(*words: str, **how: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "walbc", *words], stderr=subprocess.PIPE, **how)


def test_a_failing_write_to_stdout_is_noticed() -> None:
    with open("/dev/full", "wb") as full:
        process = run_program("-h", stdout=full)
        _, err = process.communicate(timeout=WITHIN_SEC)
    assert process.returncode == 1
    assert error_of(err.decode()) == "cannot write to standard output: No space left on device"


def test_a_closed_pipe_is_noticed_without_a_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = run_program("-h", stdout=writer)
    os.close(writer)
    _, err = process.communicate(timeout=WITHIN_SEC)
    assert process.returncode == 1
    assert error_of(err.decode()) == "cannot write to standard output: Broken pipe"


def test_closed_standard_streams_are_no_reason_to_crash() -> None:
    command = f"{sys.executable} -m walbc -h >&-"
    result = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, check=False)
    assert (result.returncode, error_of(result.stderr.decode())) == (
        1,
        "cannot write to standard output: it is closed",
    )
    result = subprocess.run(["sh", "-c", f"{command} 2>&-"], check=False)
    assert result.returncode == 1


def test_ctrl_c_ends_with_130_and_no_traceback(archive: Archive) -> None:
    process = run_program(*archive.address, "sleep", stdout=subprocess.PIPE)
    assert archive.arrived.wait(WITHIN_SEC)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=WITHIN_SEC)
    assert (process.returncode, out, err) == (130, b"", b"")


def test_parameters_that_are_not_utf8_are_refused_in_one_line() -> None:
    command = [sys.executable.encode(), b"-m", b"walbc", b"-a", b"h", b"-p", b"1", b"exec", b"/bin/\xff"]
    result = subprocess.run(command, capture_output=True, check=False)
    assert result.returncode == 1
    assert error_of(result.stderr.decode()).startswith("not UTF-8:0")
