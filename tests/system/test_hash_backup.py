"""Hash backups and replication of real daemons: a volume comes back after its log was lost, whatever goes wrong."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from demo.group import BIN, HOST, Server, free_port, wait_until
from tests.conftest import IS_LONG
from tests.system.backup_group import MIB, BackedUpVolume, check_same

SAMPLES = 20 if IS_LONG else 2


def lose_log(volume: BackedUpVolume) -> None:
    """Stops shipping, changes the volume, and throws the log away, as after an overflow."""
    group = volume.group
    volume.wait_arrival()
    group.walbc(group.storage, "stop", volume.name, "--wait")
    volume.write(256 << 10)
    volume.trim(MIB, 128 << 10)
    volume.nbd.flush()
    group.walbc(group.storage, "reset-vol", volume.name)


def hash_back_up(volume: BackedUpVolume) -> None:
    group = volume.group
    group.walbc(group.storage, "hash-bkp", volume.name, "--wait")
    assert group.state(group.storage, volume.name) == "Target"
    assert group.state(group.archive, volume.name) in ("Archived", "WdiffRecv")


def test_a_hash_backup_brings_a_volume_back_and_earlier_snapshots_stay(target: BackedUpVolume) -> None:
    target.fill()
    target.snapshot()
    lose_log(target)
    hash_back_up(target)
    target.snapshot()
    target.write(256 << 10)
    target.snapshot()
    target.check_snapshots()


def test_writes_of_a_running_hash_backup_are_in_the_next_snapshot(target: BackedUpVolume) -> None:
    group = target.group
    target.fill()
    target.snapshot()
    lose_log(target)
    target.fill()
    group.walbc(group.storage, "set-full-scan-bps", "2m")
    try:
        backup = group.begin(group.storage, "hash-bkp", target.name, "--wait")
        group.wait_state(group.archive, target.name, "HashSync")
        for _ in range(8):
            target.write(32 << 10)
        assert backup.wait(60) == 0, backup.communicate()
    finally:
        group.walbc(group.storage, "set-full-scan-bps", "0")
    target.snapshot()
    target.check_snapshots()


def check_survives(volume: BackedUpVolume) -> None:
    """A backup that fails leaves old snapshots; the next one succeeds."""
    group = volume.group
    result = group.ask(group.storage, "hash-bkp", volume.name, "--wait")
    volume.write(64 << 10)
    if result.status:
        errors = [line for line in result.err.splitlines() if " ERROR " in line]
        assert len(errors) == 1 and "Traceback" not in result.err, result.err
        group.wait_state(group.storage, volume.name, "SyncReady")
        group.wait_state(group.archive, volume.name, "Archived")
        hash_back_up(volume)
    volume.snapshot()
    volume.check_snapshots()


@pytest.mark.parametrize("count", [0, *(random.Random("hash").randrange(1, 400 << 10) for _ in range(SAMPLES))])
def test_a_hash_backup_cut_after_any_byte_can_be_repeated(target: BackedUpVolume, count: int) -> None:
    target.snapshot()
    lose_log(target)
    target.group.to_archive.cut_after(count)
    check_survives(target)


@pytest.mark.parametrize("count", [30, 90, 120, 200, 300])
def test_a_hash_backup_whose_answers_and_hashes_are_cut_can_be_repeated(target: BackedUpVolume, count: int) -> None:
    target.snapshot()
    lose_log(target)
    target.group.to_archive.cut_after(count, upward=False)
    check_survives(target)


def test_an_archive_that_has_no_such_image_or_is_stopped_refuses_before_the_log_is_reset(
    volume: BackedUpVolume,
) -> None:
    group = volume.group
    uuid = group.walbc(group.storage, "get", "uuid", volume.name)
    assert "bad state" in group.ask(group.storage, "hash-bkp", volume.name).error
    volume.back_up()
    group.walbc(group.storage, "stop", volume.name, "--wait")
    group.walbc(group.storage, "reset-vol", volume.name)
    group.walbc(group.archive, "stop", volume.name, "--wait")
    uuid = group.walbc(group.storage, "get", "uuid", volume.name)
    error = group.ask(group.storage, "hash-bkp", volume.name).error
    assert "not accepted by archive:a0" in error and "Stopped" in error
    assert group.walbc(group.storage, "get", "uuid", volume.name) == uuid
    group.walbc(group.archive, "start", volume.name)
    hash_back_up(volume)
    volume.snapshot()
    volume.check_snapshots()


@pytest.fixture
def second_archive(target: BackedUpVolume) -> Iterator[Server]:
    """Another archive, which knows the volume."""
    group, port = target.group, free_port()
    folder = group.folder / f"second-{target.name}"
    folder.mkdir()
    words = ["-b", str(folder), "-p", str(port), "-bind", HOST, "-id", "a1", "-l", str(group.folder / "a1.log")]
    server = Server([str(BIN / "walb-archive"), *words], group.folder / "a1.out", port=port)
    server.start()
    server.wait_ready()
    group.walbc(server, "init-vol", target.name)
    yield server
    server.stop()


def test_a_second_archive_restores_what_the_first_does(target: BackedUpVolume, second_archive: Server) -> None:
    group, name = target.group, target.name

    def replicate() -> None:
        where = f"{HOST}:{second_archive.port}"
        group.walbc(group.archive, "replicate", name, "size", "0", where, "--wait")

    for _ in range(3):
        target.write(128 << 10)
        target.snapshot()
    target.wait_arrival()
    replicate()
    lose_log(target)
    hash_back_up(target)
    target.snapshot()
    target.wait_arrival()
    replicate()
    for gid, wanted in target.snapshots.items():
        group.walbc(second_archive, "restore", name, gid, "--wait")
        path = group.walbc(second_archive, "get", "restored-path", name, gid).strip()
        with open(path, "rb") as file:
            check_same(file.read(), wanted, f"replica of gid {gid}")
    wait_until(lambda: group.walbc(second_archive, "get", "progress", name).strip() == "0", 20, "nothing runs")
