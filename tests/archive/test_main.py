"""walb-archive as a program."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from demo.group import wait_until
from tests.archive.archive_testing import Peers
from walbd.archive.main import main

READY_SEC = 20.0
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


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["-discard", "maybe"], "-discard:maybe"),
        (["-fi", "0"], "-fi"),
        (["-vg", "a/b"], "-vg:a/b"),
        (["-b", "/nowhere/at/all"], "/nowhere/at/all"),
    ],
)
def test_bad_content_of_an_option_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], text: str
) -> None:
    assert run_main(monkeypatch, *arguments) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert text in lines[0]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["-vg", "no-such-group"], "volume group does not exist:no-such-group (hint: 'vgs' lists those there are"),
        (["-tp", "pool"], "-tp pool without -vg (hint: name the volume group"),
    ],
)
def test_images_that_cannot_be_stored_where_told_end_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], base: Path, arguments: list[str], text: str
) -> None:
    if "-vg" in arguments and shutil.which("lvm") is None:
        text = "LVM is not installed"
    assert run_main(monkeypatch, "-b", str(base), "-l", str(base / "log"), *arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("ArchiveServer: error: ")
    assert text in line


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

    def is_ready() -> bool:
        assert process.poll() is None
        return log.exists() and "Ready to accept" in log.read_text()

    wait_until(is_ready, READY_SEC, "the program")
    return int(log.read_text().split("listening on 127.0.0.1:")[1].split()[0])
