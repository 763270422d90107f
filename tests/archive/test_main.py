"""walb-archive as a program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.archive.archive_testing import Peers
from walbd.archive.main import main

ROOT = Path(__file__).parent.parent.parent


def run_main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["walb-archive", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_help_names_the_options(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main(monkeypatch, "-h") == 0
    text = capsys.readouterr().out
    assert text.startswith("walb archive server version ")
    for name in ("vg", "tp", "b", "p", "bind", "id", "l", "discard", "fi", "autoresize", "maxopen", "fg", "wn"):
        assert f"\n  -{name} " in text


def test_a_volume_group_is_refused_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], base: Path
) -> None:
    assert run_main(monkeypatch, "-b", str(base), "-vg", "vg0") == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("ArchiveServer: error: -vg vg0")
    assert "leave -vg out" in lines[0]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [(["-discard", "maybe"], "-discard:maybe"), (["-fi", "0"], "-fi"), (["-b", "/nowhere/at/all"], "/nowhere/at/all")],
)
def test_bad_content_of_an_option_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], text: str
) -> None:
    assert run_main(monkeypatch, *arguments) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert text in lines[0]


async def test_the_program_serves_until_a_signal_ends_it(base: Path) -> None:
    log = base.parent / "log"
    program = "from walbd.archive.main import main; main()"
    options = ["-b", str(base), "-p", "0", "-bind", "127.0.0.1", "-l", str(log), "-id", "a0"]
    process = subprocess.Popen([sys.executable, "-c", program, *options], cwd=ROOT)  # noqa: ASYNC220
    try:
        peers = Peers(wait_for_port(process, log))
        await peers.call("init-vol", "v0")
        await peers.full_backup(os.urandom(1 << 20))
        assert await peers.get("state", "v0") == ["Archived"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
    assert "shutdown walb archive server" in log.read_text()


def wait_for_port(process: subprocess.Popen[bytes], log: Path) -> int:
    """The port that the program says it listens on."""
    for _ in range(2000):
        assert process.poll() is None
        text = log.read_text() if log.exists() else ""
        if "Ready to accept" in text:
            return int(text.split("listening on 127.0.0.1:")[1].split()[0])
        time.sleep(0.01)
    raise AssertionError("the program did not get ready")
