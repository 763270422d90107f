from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
LIMIT_SEC = 30

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts the small daemon with some arguments."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.server.small_program", *arguments]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def until_line(process: subprocess.Popen[str], words: str) -> list[str]:
    """The lines on stderr up to the one with these words."""
    lines = []
    assert process.stderr
    for line in process.stderr:
        lines.append(line.rstrip("\n"))
        if words in line:
            return lines
    raise AssertionError(lines)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=LIMIT_SEC)
    return process.returncode, out, err


def test_help_goes_to_stdout_with_status_zero(start: Start) -> None:
    status, out, err = ended(start("-h"))
    assert (status, err) == (0, "")
    assert out.startswith("walb storage server version ")


def test_a_malformed_command_line_prints_one_line_and_the_help_with_status_one(start: Start) -> None:
    status, out, err = ended(start("-p", "x"))
    assert (status, err) == (1, "")
    assert out.splitlines()[0] == "OptionError:bad value:x for -p"
    assert "usage: walb-storage" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-fg", "0"], "bad value of -fg:0"),
        (["-b", "/no/such/base"], "cannot create the base directory /no/such/base"),
        (["-b", "{tmp}", "-l", "no/log"], "cannot open the log file"),
        (["-b", "{tmp}", "-bind", "192.0.2.1", "-l", "log"], "cannot listen on 192.0.2.1:5000"),
    ],
)
def test_a_start_that_fails_says_why_in_one_line(
    start: Start, tmp_path: Path, arguments: list[str], message: str
) -> None:
    status, out, err = ended(start(*[argument.format(tmp=tmp_path) for argument in arguments]))
    assert (status, out) == (1, "")
    assert err.startswith(f"StorageServer: error: {message}")
    assert err.count("\n") == 1
    if "-bind" in arguments:
        assert "ERROR cannot listen on" in (tmp_path / "log").read_text()


def test_the_base_directory_is_made_before_a_relative_log_file_is_opened_in_it(start: Start, tmp_path: Path) -> None:
    process = start("-b", str(tmp_path / "s0"), "-l", "log", "-p", "0", "-x")
    assert ended(process)[0] == 1
    process = start("-b", str(tmp_path / "s0"), "-l", "log", "-bind", "192.0.2.1")
    assert ended(process)[0] == 1
    assert "INFO starting walb storage server version" in (tmp_path / "s0" / "log").read_text()


def test_a_daemon_logs_banner_and_options_and_ends_with_status_zero_on_a_signal(start: Start, tmp_path: Path) -> None:
    process = start("-b", str(tmp_path), "-p", "0", "-bind", "127.0.0.1", "-id", "s0")
    texts = [line[24:] for line in until_line(process, "Ready to accept connections")]
    assert texts[0].startswith("INFO starting walb storage server version ")
    assert {"INFO p=0 (set)", "INFO id=s0 (set)", "INFO fg=2 (default)"} <= set(texts)
    os.kill(process.pid, signal.SIGTERM)
    status, _, err = ended(process)
    assert status == 0
    assert [line[24:].split(" version")[0] for line in err.splitlines()] == [
        "INFO shutdown:force:SIGTERM",
        "INFO run:Waiting for remaining tasks",
        "INFO shutdown walb storage server",
    ]


def test_hangup_reopens_the_log_and_a_second_daemon_is_kept_out(start: Start, tmp_path: Path) -> None:
    base = tmp_path / "s0"
    log = base / "log"
    os.mkfifo(tmp_path / "ready")
    arguments = ("-b", str(base), "-p", "0", "-bind", "127.0.0.1", "-l")
    first = start(*arguments, str(tmp_path / "ready"))
    with open(tmp_path / "ready") as ready:
        for line in ready:
            if "Ready to accept" in line:
                break
        status, _, err = ended(start(*arguments, "log"))
        assert status == 1
        assert err.startswith(f"StorageServer: error: another daemon uses the base directory {base}")
        os.rename(tmp_path / "ready", tmp_path / "old")
        os.mkfifo(tmp_path / "ready")
        reader = os.open(tmp_path / "ready", os.O_RDONLY | os.O_NONBLOCK)
        os.kill(first.pid, signal.SIGHUP)
        assert ready.read() == ""
    os.set_blocking(reader, True)
    os.kill(first.pid, signal.SIGINT)
    assert ended(first)[0] == 0
    with open(reader) as reopened:
        assert "INFO log reopened" in reopened.read()
    assert not log.exists()
