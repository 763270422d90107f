"""kill -9 at seeded moments while writes go on: after a restart everything arrives and is as it was written."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from demo.group import wait_until
from tests.conftest import IS_LONG
from tests.system.backup_group import MIB, BackedUpVolume, RelayedGroup, check_same
from tests.system.sampling import sampled
from walbd.model.error import PeerUnreachable

ROUNDS = 12 if IS_LONG else 2
KINDS = ("storage", "proxy", "archive")
MAX_PAUSE_SEC = 0.6


class Writer:
    """Writes to the device of a volume all the time. With `paused()` nothing is written, and the volume's oracle is
    what the device must contain."""

    def __init__(self, volume: BackedUpVolume) -> None:
        self.count = 0
        self._volume = volume
        self._lock = threading.Lock()
        self._is_ended = False
        self._device_is_there = threading.Event()
        self._device_is_there.set()
        self._crash_is_expected = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.error: BaseException | None = None

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_ended = True
        self._device_is_there.set()
        self._thread.join(20)
        assert not self._thread.is_alive()
        if self.error:
            raise self.error

    def paused(self) -> threading.Lock:
        """A context manager."""
        return self._lock

    def expect_crash(self) -> None:
        """From now on a broken connection is no error; `device_is_back` must follow."""
        self._crash_is_expected = True
        self._device_is_there.clear()

    def device_is_back(self) -> None:
        """The device was restarted."""
        self._device_is_there.set()

    def wait_progress(self) -> None:
        """Until something more was written."""
        before = self.count
        wait_until(lambda: self.count > before or self.error is not None, 20, "writes go on")

    def _run(self) -> None:
        try:
            while not self._is_ended:
                with self._lock:
                    self._write_once()
                self.count += 1
                time.sleep(0.002)  # lets others have the lock
        except BaseException as error:
            self.error = error

    def _write_once(self) -> None:
        volume = self._volume
        length = volume.random.randrange(512, 64 << 10, 512)
        offset = volume.random.randrange(0, volume.size_bytes - length, 512)
        data = volume.random.randbytes(length)
        while True:
            try:
                volume.nbd.write(offset, data, fua=True)
                break
            except PeerUnreachable:
                # What was not acknowledged may be there or not: writing it again makes it certain.
                if not self._crash_is_expected:
                    raise
                volume.disconnect()
                if not self._device_is_there.wait(20):
                    raise
        volume.content[offset : offset + length] = data


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
