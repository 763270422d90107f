"""walbc top: the page as a pure function, the questions behind it against daemons, the screen on a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.archive.archive_testing import running_archive
from tests.archive.history import make_history
from tests.proxy.proxy_testing import Surroundings, diff_of
from tests.storage.storage_testing import Group, blocks
from tests.walbc.daemon_testing import walbc
from walbc.connection import Connection
from walbc.main import main
from walbc.top import watch
from walbc.top.collect import ask_server
from walbc.top.page import Line, Style, page
from walbc.top.screen import visible
from walbc.top.views import QueueView, ServerView, VolumeView, WorkView
from walbd.model.error import PeerUnreachable, Refused

NOW = "2026-11-23T01:05:00 UTC"
WITHIN_SEC = 30
STORAGE = ServerView(
    "s0",
    "storage1:10000",
    "storage",
    volumes=(VolumeView("vol0", "Target", gid=14, time_sec=1000, log_used_pb=50, log_capacity_pb=100),),
    works=(WorkView("full-bkp", "vol1", 512 << 20, 1 << 30, "bytes", "copy"),),
)
PROXY = ServerView(
    "p0",
    "proxy1:10100",
    "proxy",
    volumes=(VolumeView("vol0", "Started", num_diff=0, queues=(QueueView("a0", 2, 4096, 30, False),)),),
)
ARCHIVE = ServerView(
    "a0",
    "backup1:10200",
    "archive",
    volumes=(VolumeView("vol0", "Archived", gid=9, time_sec=995, num_diff=5),),
)
GROUP = [ARCHIVE, STORAGE, PROXY]


def texts(*servers: ServerView, columns: int = 200) -> list[str]:
    return [line.text for line in page(servers, NOW, columns)]


def alarms(*servers: ServerView) -> list[str]:
    return [line.text.removeprefix("ALARM  ") for line in page(servers, NOW, 200) if line.style is Style.ALARM]


def with_volume(server: ServerView, **fields: object) -> ServerView:
    return replace(server, volumes=(replace(server.volumes[0], **fields),))


def test_the_page_shows_a_group() -> None:
    assert texts(*GROUP) == [
        "walbc top  2026-11-23T01:05:00 UTC  3 servers  1 volume  0 alarms",
        "",
        "SERVER  KIND     ADDRESS         VOLUMES  WORK",
        "a0      archive  backup1:10200   1        0",
        "s0      storage  storage1:10000  1        1",
        "p0      proxy    proxy1:10100    1        0",
        "",
        "VOLUME  SERVER  STATE     LOG                OVERFLOW IN  DIFFS  QUEUED  GID  LAG",
        "vol0    s0      Target    [#####-----]  50%                              14",
        "vol0    p0      Started                                   0      a0:2",
        "vol0    a0      Archived                                  5              9    0:05",
        "",
        "WORK      SERVER  VOLUME  PROGRESS",
        "full-bkp  s0      vol1    [#####-----] 50% 512.0 MiB/1.0 GiB copy",
    ]


def test_a_group_that_is_well_has_no_alarms() -> None:
    assert alarms(*GROUP) == []


def test_no_servers_and_no_volumes_are_a_page_too() -> None:
    assert texts()[0].endswith("0 servers  0 volumes  0 alarms")


@pytest.mark.parametrize(
    ("server", "text"),
    [
        (replace(STORAGE, error="cannot connect", volumes=(), works=()), "s0: cannot connect"),
        (with_volume(STORAGE, state="Stopped", reason="bad queue file"), "s0 vol0: bad queue file"),
        (replace(PROXY, low_disk="free 1g"), "p0: look at the disk: free 1g"),
        (with_volume(STORAGE, last_failure="no proxy"), "s0 vol0: sending log has failed: no proxy"),
        (
            with_volume(PROXY, queues=(QueueView("a0", 1, 0, 0, False, "refused"),)),
            "p0 vol0: sending to a0 has failed: refused; 1 diff (0 B) wait for 0:00",
        ),
        (with_volume(STORAGE, is_overflow=True), "s0 vol0: the log has overflowed; stop, reset-vol and hash-bkp"),
        (with_volume(STORAGE, overflow_sec=125.0), "s0 vol0: the log overflows in 2:05"),
        (with_volume(STORAGE, log_used_pb=90), "s0 vol0: 90% of the log is in use"),
        (with_volume(STORAGE, time_sec=2000), "a0 vol0: 16:45 behind the storage"),
        (replace(STORAGE, missing_peers=("proxy1:10100",)), "s0: proxy proxy1:10100 does not answer it"),
        (
            replace(ARCHIVE, name="a1", failures=(WorkView("restore", "vol0", failure="no space"),)),
            "a1 vol0: restore failed: no space",
        ),
        (
            with_volume(PROXY, queues=(QueueView("a0", 2, 4096, 30, True),)),
            "p0 vol0: sending to a0 has failed; 2 diffs (4.0 KiB) wait for 0:30",
        ),
    ],
)
def test_what_somebody_should_look_at_is_an_alarm(server: ServerView, text: str) -> None:
    found = alarms(server, ARCHIVE)
    assert len(found) == 1 and found[0].startswith(text), found


def test_a_burst_into_an_empty_log_is_no_alarm() -> None:
    assert alarms(with_volume(STORAGE, log_used_pb=10, overflow_sec=125.0), ARCHIVE) == []


def test_a_server_that_has_not_been_heard_of_yet_is_shown_and_no_alarm() -> None:
    lines = texts(ServerView("a9", "backup9:10200"), STORAGE)
    assert lines[0].endswith("2 servers  1 volume  0 alarms")
    assert any(line.split() == ["a9", "?", "backup9:10200", "?", "?"] for line in lines)


async def test_before_the_first_answer_nothing_is_wrong() -> None:
    """The first page comes at once, the answers a moment later."""
    server = await asyncio.start_server(lambda *_: asyncio.Event().wait(), "127.0.0.1", 0)
    looking = watch.Watch([Connection("127.0.0.1", server.sockets[0].getsockname()[1], 10, "c0", "a0")])
    assert alarms(*looking.views()) == []
    looking.close()
    server.close()


@pytest.mark.parametrize(
    ("kind", "result", "is_alarm"),
    [
        ("restore", "no space", True),
        ("restore", "force stopped:v0:restore", False),
        ("wlog-transfer", "connection to s0 broke", False),
        ("wdiff-transfer", "connection to p0 broke", False),
    ],
)
def test_what_was_ended_or_is_repeated_by_its_sender_is_no_failure(kind: str, result: str, is_alarm: bool) -> None:
    begin = "2026-11-23T01:05:00"
    answers = {
        ("status",): ["-----ArchiveGlobal-----", "nodeId a0", "-----Volume-----"],
        ("get", "tasks"): [
            f"name:v0\tkind:{kind}\tbegin:{begin}\tend:{begin}\tdone:0\ttotal:0\tunit:bytes\tphase:\tresult:{result}"
        ],
        ("get", "latest-snap"): [],
    }
    view = ask_server("a0", "h:1", lambda *question: answers[question])
    assert (view.error, bool(view.failures)) == ("", is_alarm)


def test_a_forecast_and_a_stop_in_progress_are_shown() -> None:
    shown = texts(with_volume(STORAGE, overflow_sec=86400.0, stop_state="Stopping"))
    assert any("Target (Stopping)" in line and "24:00:00" in line for line in shown)


def test_no_line_is_wider_than_the_screen_or_steers_it() -> None:
    server = replace(STORAGE, name="s0\x1b[2J", error="long " * 50)
    for columns in (0, 1, 20, 80):
        for line in texts(server, columns=columns):
            assert len(line) <= columns and line.isprintable()


def test_a_page_that_does_not_fit_is_scrolled() -> None:
    lines = [Line(str(number)) for number in range(10)]
    assert [line.text for line in visible(lines, 0, 4)] == ["0", "1", "2", "q: quit   arrows: 7 more lines"]
    assert [line.text for line in visible(lines, 7, 4)] == ["7", "8", "9", "q: quit   arrows: 0 more lines"]
    assert [line.text for line in visible(lines, 0, 12)][-2:] == ["", "q: quit"]
    assert visible(lines, 0, 1) == [Line("q: quit   arrows: 10 more lines")]


def asked(port: int) -> ServerView:
    return watch.look(Connection("127.0.0.1", port, 10, "c0", "x0"))


async def test_an_archive_is_asked_for_its_volumes(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    async with running_archive(tmp_path / "base") as archive:
        await archive.call("init-vol", "v0")
        await make_history(archive)
        view = await asyncio.to_thread(asked, archive.port)
        assert (view.error, view.kind, view.name) == ("", "archive", "x0")
        (volume,) = view.volumes
        assert (volume.name, volume.state, volume.gid, volume.num_diff) == ("v0", "Archived", 5, 5)
        with pytest.raises(Refused):
            await archive.call("restore", "v0", "99")
        assert (await asyncio.to_thread(asked, archive.port)).error == ""


async def test_a_storage_is_asked_for_its_log(group: Group) -> None:
    async with group.target() as storage:
        group.device.write(0, blocks(1))
        view = await asyncio.to_thread(asked, storage.address.port)
        assert (view.error, view.kind, view.missing_peers) == ("", "storage", ())
        (volume,) = view.volumes
        assert (volume.state, volume.is_overflow) == ("Target", False)
        assert volume.log_share is not None and volume.gid is not None


async def test_a_proxy_is_asked_for_its_queues(around: Surroundings) -> None:
    for archive in around.archives.values():
        await archive.stop()
    async with around.started() as proxy:
        around.device.write(0, blocks(1))
        await around.send(proxy, diff_of(0, 1))
        view = await asyncio.to_thread(asked, proxy.address.port)
        assert (view.error, view.kind) == ("", "proxy")
        (volume,) = view.volumes
        assert {queue.archive for queue in volume.queues} == set(around.archives)


def test_a_server_that_does_not_answer_is_a_server_with_an_error() -> None:
    def unreachable(*_: str) -> list[str]:
        raise PeerUnreachable("cannot connect to h:1", "is it running?")

    assert ask_server("a0", "h:1", unreachable).error == "cannot connect to h:1 (hint: is it running?)"


@pytest.mark.parametrize("lines", [[], ["nonsense"], ["hostType archive"], ["-----XGlobal-----", "-----Volume-----"]])
def test_a_server_that_answers_nonsense_is_a_server_with_an_error(lines: list[str]) -> None:
    assert ask_server("a0", "h:1", lambda *_: lines).error


async def test_once_prints_one_page_of_the_server_asked(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    async with running_archive(tmp_path / "base") as archive:
        await archive.call("init-vol", "v0")
        lines = (await walbc(archive.port, "top", "--once")).lines
        assert lines[0].startswith("walbc top  ") and lines[0].endswith("1 server  1 volume  0 alarms")
        assert any("v0" in line and "SyncReady" in line for line in lines)


def test_once_shows_all_servers_of_the_file_or_those_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "servers.toml"
    path.write_text("".join(f"[servers.{name}]\nhost='127.0.0.1'\nport=1\n" for name in ("s0", "a0")))
    monkeypatch.setenv("WALBC_CONFIG", str(path))
    assert main(["top", "--once"]) == 0
    assert "2 servers" in capsys.readouterr().out
    assert main(["--once", "top", "a0"]) == 0
    out = capsys.readouterr().out
    assert "1 server " in out and "ALARM  a0: cannot connect to 127.0.0.1:1" in out
    assert main(["top", "--once", "b0"]) == 1
    assert "no server of that name" in capsys.readouterr().err


def test_without_a_terminal_the_way_out_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-a", "h", "-p", "1", "top"]) == 1
    assert "top needs a terminal (hint: top --once prints one page)" in capsys.readouterr().err


def test_without_servers_the_file_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("WALBC_CONFIG", "/nowhere/servers.toml")
    assert main(["top", "--once"]) == 1
    assert "no servers file:/nowhere/servers.toml" in capsys.readouterr().err


class Terminal:
    """`walbc top` on a terminal of its own."""

    def __init__(self, port: int) -> None:
        self.fd, end = pty.openpty()
        command = [sys.executable, "-m", "walbc", "-a", "127.0.0.1", "-p", str(port), "top"]
        environment = {**os.environ, "TERM": "xterm"}
        self.process = subprocess.Popen(command, stdin=end, stdout=end, stderr=end, env=environment)
        os.close(end)
        self.seen = b""

    def read_until(self, text: bytes) -> None:
        limit = time.monotonic() + WITHIN_SEC
        while text not in self.seen:
            assert time.monotonic() < limit, self.seen
            if select.select([self.fd], [], [], 0.1)[0]:
                self.seen += os.read(self.fd, 65536)

    def end(self) -> int:
        """The exit status; what is still written is read, so that the program is not held up."""
        with contextlib.suppress(OSError):  # nobody has the terminal open any more
            self.read_until(b"no such text")
        os.close(self.fd)
        return self.process.wait(WITHIN_SEC)


@pytest.mark.parametrize("how", ["q", "ctrl-c"])
async def test_the_screen_shows_the_page_until_it_is_ended(how: str, tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    async with running_archive(tmp_path / "base") as archive:
        await archive.call("init-vol", "vol-on-screen")
        terminal = Terminal(archive.port)
        await asyncio.to_thread(terminal.read_until, b"vol-on-screen")
        await archive.call("init-vol", "another-one")
        await asyncio.to_thread(terminal.read_until, b"another-one")
        if how == "q":
            os.write(terminal.fd, b"q")
        else:
            terminal.process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(terminal.end) == (0 if how == "q" else 130)
        assert b"Traceback" not in terminal.seen
