"""The demo itself: how it ends, and that nothing is left, however it ends."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.group import sanitized_environment, wait_until
from tests.system.sampling import sampled

MOMENTS = ["made an ext4 image", "run on free", "full backup in", "round 2"]
ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(
    shutil.which("mke2fs", path=sanitized_environment()["PATH"]) is None, reason="needs e2fsprogs"
)


@pytest.fixture
def place() -> Iterator[Path]:
    """Where the demo makes its folder; short, for the sockets in it."""
    path = Path(tempfile.mkdtemp(prefix="walb-d-"))
    yield path
    for pid in processes_in(path):
        os.kill(pid, signal.SIGKILL)
    shutil.rmtree(path)


def processes_in(place: Path) -> list[int]:
    """Processes whose command line names the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if os.fsencode(place) + b"/" in line:
                found.append(int(entry.name))
    return found


def begin(place: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-u", "-m", "demo", *words]
    environment = {**os.environ, "TMPDIR": str(place)}
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return subprocess.Popen(command, cwd=ROOT, env=environment, text=True, start_new_session=True, **pipes)


def test_the_demo_ends_well_and_leaves_nothing(place: Path) -> None:
    demo = begin(place)
    out, err = demo.communicate(timeout=100)
    assert demo.returncode == 0, err
    assert out.splitlines()[-1] == "demo: 5 of 5 snapshots restored, identical and clean"
    assert not err
    assert processes_in(place) == []
    assert list(place.iterdir()) == []


@pytest.mark.parametrize(("number", "moment"), sampled(2, [signal.SIGINT, signal.SIGTERM], MOMENTS))
def test_an_interrupted_demo_leaves_nothing(place: Path, number: signal.Signals, moment: str) -> None:
    demo = begin(place)
    assert demo.stdout and demo.stderr
    for line in demo.stdout:
        if moment in line:
            break
    # Ctrl-C of a terminal reaches the whole group.
    os.killpg(demo.pid, number) if number is signal.SIGINT else demo.send_signal(number)
    assert demo.wait(40) == 130
    assert "Traceback" not in demo.stderr.read()
    wait_until(lambda: processes_in(place) == [], 10, "nothing runs any more")
    assert list(place.iterdir()) == []


def test_an_impatient_second_interrupt_leaves_nothing_either(place: Path) -> None:
    demo = begin(place)
    assert demo.stdout and demo.stderr
    next(line for line in demo.stdout if "run on free" in line)
    while demo.poll() is None:
        os.killpg(demo.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            demo.wait(0.05)  # a hurried finger
    assert demo.returncode == 130
    assert "Traceback" not in demo.stderr.read()
    assert processes_in(place) == []
    assert list(place.iterdir()) == []


@pytest.mark.long
def test_a_kept_demo_goes_on_running(place: Path) -> None:
    demo = begin(place, "--keep")
    out, _ = demo.communicate(timeout=100)
    assert demo.returncode == 0
    assert "The group keeps running" in out
    line = next(line for line in out.splitlines() if line.startswith("End it with:"))
    assert len(processes_in(place)) == 4
    subprocess.run(["sh", "-c", line.split(":", 1)[1]], check=True)
    wait_until(lambda: processes_in(place) == [], 20, "nothing runs any more")
