"""kill -9 at seeded moments while writes go on: after a restart everything arrives and is as it was written."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator

import pytest

from demo.group import wait_until
from tests.conftest import IS_LONG
from tests.system.backup_group import MIB, BackedUpVolume, RelayedGroup, check_same
from tests.system.sampling import sampled
from tests.system.writer import Writer

ROUNDS = 12 if IS_LONG else 2
KINDS = ("storage", "proxy", "archive")
MAX_PAUSE_SEC = 0.6


@pytest.fixture
def crash_target(own_group: RelayedGroup) -> Iterator[BackedUpVolume]:
    """A volume in a group of its own, in Target."""
    volume = own_group.volume(seed=21, log_bytes=64 * MIB)
    volume.write(MIB)
    volume.back_up()
    yield volume
    volume.disconnect()


def take_snapshot(volume: BackedUpVolume, writer: Writer) -> None:
    with writer.paused():
        volume.snapshot()


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_server_loses_nothing_that_was_written(crash_target: BackedUpVolume, kind: str) -> None:
    volume, rng = crash_target, random.Random(f"{kind}1")
    server = getattr(volume.group, kind)
    with Writer(volume) as writer:
        for _ in range(ROUNDS):
            take_snapshot(volume, writer)
            time.sleep(rng.random() * MAX_PAUSE_SEC)  # the seeded moment
            server.stop(signal.SIGKILL)
            writer.wait_progress()
            volume.group.restart(server)
            writer.wait_progress()
        take_snapshot(volume, writer)
    volume.check_snapshots()


def test_all_servers_killed_at_once_lose_nothing(crash_target: BackedUpVolume) -> None:
    volume, rng = crash_target, random.Random(4)
    group = volume.group
    with Writer(volume) as writer:
        for _ in range(ROUNDS):
            take_snapshot(volume, writer)
            time.sleep(rng.random() * MAX_PAUSE_SEC)
            for server in group.servers:
                assert server.popen
                server.popen.kill()
            for server in group.servers:
                assert server.popen
                server.popen.wait()
            writer.wait_progress()
            group.start()
        take_snapshot(volume, writer)
    volume.check_snapshots()


def test_a_killed_device_has_every_acknowledged_write(crash_target: BackedUpVolume) -> None:
    volume, rng = crash_target, random.Random(5)
    device = volume.group.devices[volume.device]
    with Writer(volume) as writer:
        for _ in range(ROUNDS):
            take_snapshot(volume, writer)
            time.sleep(rng.random() * MAX_PAUSE_SEC)
            writer.expect_crash()
            device.stop(signal.SIGKILL)
            volume.group.start_device(volume.device)
            device = volume.group.devices[volume.device]
            writer.device_is_back()
            writer.wait_progress()
            with writer.paused():
                check_same(volume.nbd.read(0, volume.size_bytes), bytes(volume.content), "device after a crash")
        take_snapshot(volume, writer)
    volume.check_snapshots()


@pytest.mark.parametrize(("kind", "share"), sampled(2, ["storage", "archive"], [0.0, 0.1, 0.3, 0.5, 0.8]))
def test_a_server_killed_during_a_full_backup_can_do_it_again(own_group: RelayedGroup, kind: str, share: float) -> None:
    group = own_group
    volume = group.volume(seed=22, size_bytes=16 * MIB)
    volume.fill()
    group.walbc(group.storage, "set-full-scan-bps", "8m")
    backup = group.begin(group.storage, "full-bkp", volume.name, "--wait")
    wait_progress(volume, int(share * volume.size_bytes))
    server = getattr(group, kind)
    server.stop(signal.SIGKILL)
    status = backup.wait(20)
    assert status == 1
    assert backup.stderr
    assert "ERROR" in backup.stderr.read().splitlines()[-1]
    group.restart(server)
    group.walbc(group.storage, "set-full-scan-bps", "0")
    volume.write(64 << 10)
    volume.back_up_again()
    volume.snapshot()
    volume.check_snapshots()


def wait_progress(volume: BackedUpVolume, count_bytes: int) -> None:
    """Until so much of the image has arrived."""
    group = volume.group

    def has_come() -> bool:
        return int(group.walbc(group.archive, "get", "progress", volume.name)) * 512 >= count_bytes

    group.wait_state(group.archive, volume.name, "FullSync")
    wait_until(has_come, 20, f"{count_bytes} bytes of the image arrived")


def test_a_proxy_killed_while_diffs_wait_sends_them_after_its_restart(crash_target: BackedUpVolume) -> None:
    volume, group = crash_target, crash_target.group
    group.from_proxy.cut_after(0, stays=True)
    for _ in range(3):
        volume.write(256 << 10)
        volume.snapshot()
    wanted = max(volume.snapshots)

    def is_at_proxy() -> bool:
        return f"|{wanted}|" in group.walbc(group.proxy, "get", "proxy-diff", volume.name, "a0")

    wait_until(is_at_proxy, 20, "the proxy has everything")
    group.proxy.stop(signal.SIGKILL)
    group.from_proxy.heal()
    group.restart(group.proxy)
    volume.check_snapshots()


@pytest.mark.parametrize("kind", sampled(1, KINDS))
def test_temporary_files_of_a_killed_server_are_removed(crash_target: BackedUpVolume, kind: str) -> None:
    volume, group = crash_target, crash_target.group
    server = getattr(group, kind)
    server.stop(signal.SIGKILL)
    folder = group.folder / kind / volume.name
    left = [folder / "tmpAbCdEf"]
    if kind == "archive":
        left.append(folder / f"wr_{volume.name}_7_tmp")
    if kind == "proxy":
        left.append(folder / "received" / "tmp123456")
    for path in left:
        path.write_bytes(b"x" * 1000)
    group.restart(server)
    assert [path for path in left if path.exists() and (kind != "storage")] == []
    volume.write(64 << 10)
    volume.snapshot()
    volume.check_snapshots()
