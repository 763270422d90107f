"""What each kind of service writes where its output goes to the journal, and where it does not."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from demo.group import wait_until
from tests.services.conftest import DAEMONS, Services

LIMIT_SEC = 30.0
FIRST = {
    "proxy": "INFO starting walb proxy server",
    "device": "INFO serving vol",
    "worker": "INFO start walb-worker",
}


def output_of(command: list[str], out: Path, marks: str, journal: str = "") -> list[str]:
    """The lines of a service from its start to a signal that comes when `marks` is there."""
    with open(out, "wb") as stream:
        status = os.fstat(stream.fileno())
        place = journal or f"{status.st_dev}:{status.st_ino}"
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env={**os.environ, "JOURNAL_STREAM": place})
    try:
        wait_until(lambda: marks in out.read_text() or process.poll() is not None, LIMIT_SEC, marks)
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_SEC) == 0, out.read_text()
    finally:
        process.kill()
        process.wait()
    return out.read_text().splitlines()


# Every daemon logs as the proxy does.
@pytest.mark.parametrize("kind", ["proxy", "device", "worker"])
def test_the_journal_gets_a_priority_and_no_time(services: Services, kind: str) -> None:
    marks = "Ready to accept" if kind in DAEMONS else FIRST[kind]
    lines = output_of(services.command(kind), services.folder / "out", marks)
    assert any(line.startswith(f"<6>{FIRST[kind]}") for line in lines), lines
    assert not any(re.match(r"\d{4}-\d\d-\d\d", line) for line in lines), lines


def test_a_terminal_or_file_gets_lines_with_their_time(services: Services) -> None:
    lines = output_of(services.command("proxy"), services.folder / "out", "Ready to accept", "1:1")
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} INFO ", line) for line in lines), lines


def test_a_log_file_is_as_ever_when_stderr_goes_to_the_journal(services: Services) -> None:
    log = services.folder / "p0.log"
    with open(services.folder / "out", "wb") as stream:
        status = os.fstat(stream.fileno())
        environment = {**os.environ, "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        command = services.command("proxy", "-l", str(log), "-bind", "192.0.2.1")
        assert subprocess.run(command, stderr=stream, env=environment, check=False, timeout=LIMIT_SEC).returncode == 1
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} INFO starting walb proxy", log.read_text())
    assert (services.folder / "out").read_text().startswith("<3>ProxyServer: error: cannot listen on 192.0.2.1:0")
