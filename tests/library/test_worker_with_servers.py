"""walb-worker as a program, against a real archive."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from demo.group import BIN, wait_until
from tests.library.conftest import Site
from walbc.library.failure import CommandError

POLICY = """\
general: {{addr: 127.0.0.1, port: {port}, walbc_path: {bin}/walbc, kick_interval: 1}}
merge: {{interval: 1d}}
retention:
  keep: {keep}
"""


@pytest.fixture
def worker(target: Site, tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Starts the worker with a retention rule."""
    try:
        target.walbc.get_ts_delta(target.a0)
    except CommandError as error:
        pytest.skip(f"the archive cannot tell what destinations have reached: {error.stderr}")

    def start(keep: str, *options: str) -> subprocess.Popen[str]:
        policy = tmp_path / "policy.yaml"
        policy.write_text(POLICY.format(port=target.a0.port, bin=BIN, keep=keep))
        command = [str(BIN / "walb-worker"), "-f", str(policy), *options]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return start


def test_rules_thin_out_snapshots_and_merge_what_lies_between(
    target: Site, worker: Callable[..., subprocess.Popen[str]]
) -> None:
    gids = []
    for letter in (b"a", b"b", b"c", b"d"):
        target.write(letter * 4096)
        gids.append(target.walbc.snapshot(target.s0, target.vol, [target.a0]))
    before = target.walbc.get_restorable_gid(target.a0, target.vol)
    out, err = worker("last 2d yearly", "-dry-run").communicate(timeout=60)
    assert err == ""
    assert f"{target.vol}: name=retention vol={target.vol} " in out
    assert "because: kept are " in out
    assert target.walbc.get_restorable_gid(target.a0, target.vol) == before
    process = worker("last 2d yearly", "-once")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    after = target.walbc.get_restorable_gid(target.a0, target.vol)
    assert before[-1] in after
    assert len(after) < len(before)
    assert target.restored(target.a0, gids[-1])[:4096] == b"d" * 4096


def test_as_a_service_it_works_until_a_signal(target: Site, worker: Callable[..., subprocess.Popen[str]]) -> None:
    for letter in (b"a", b"b", b"c"):
        target.write(letter * 4096)
        target.walbc.snapshot(target.s0, target.vol, [target.a0])
    before = target.walbc.get_restorable_gid(target.a0, target.vol)
    process = worker("last 2d yearly", "-v")
    wait_until(
        lambda: len(target.walbc.get_restorable_gid(target.a0, target.vol)) < len(before), 30, "snapshots thinned out"
    )
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.splitlines()[0].endswith("INFO start walb-worker")
    assert out.splitlines()[-1].endswith("INFO end walb-worker")
    assert "\n>>>\ngeneral:\n" in out


def test_an_archive_that_is_down_is_one_line(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY.format(port=1, bin=BIN, keep="1d all"))
    done = subprocess.run(
        [BIN / "walb-worker", "-f", policy, "-dry-run"], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "cannot connect to 127.0.0.1:1" in done.stderr
