"""Snapshot records: durable before they count, gids by the length of the log, resets."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes import FakeWorld
from walbd.model.error import BadState, StorageFailure
from walbd.model.lsid_gid import LsidGid
from walbd.model.transfer_plan import plan_transfer
from walbd.server.volume_files import VolumeFolder
from walbd.storage.records import DONE, SnapshotRecords, initial_done, save_queue
from walbd.world.files import Files

MAX_PB = 2048


def make(folder: Path, files: Files | None = None) -> SnapshotRecords:
    """Records of a volume whose log was just reset to gid 0."""
    world = FakeWorld(files)
    place = VolumeFolder(world.files, folder)
    place.save_record(DONE, LsidGid(0, 0, is_mergeable=False, timestamp=1))
    save_queue(place, [], salt=1)
    return SnapshotRecords.load(world, place)


def reload(folder: Path) -> SnapshotRecords:
    """What a restart finds."""
    world = FakeWorld()
    return SnapshotRecords.load(world, VolumeFolder(world.files, folder))


async def test_a_snapshot_is_on_disk_when_its_gid_is_known(tmp_path: Path) -> None:
    records = make(tmp_path)
    assert (await records.take(405, MAX_PB, is_mergeable=True)).gid == 1
    assert (await records.take(638, MAX_PB, is_mergeable=False)).gid == 2
    assert (await records.take(5866, MAX_PB, is_mergeable=False)).gid == 5
    assert reload(tmp_path).queue == records.queue
    assert [record.gid for record in records.queue] == [1, 2, 5]


async def test_a_snapshot_overtaken_by_another_stands_at_its_place(tmp_path: Path) -> None:
    records = make(tmp_path)
    await records.take(405, MAX_PB, is_mergeable=True)
    # Its lsid was asked for before 405 was reached.
    overtaken = await records.take(404, MAX_PB, is_mergeable=False)
    assert (overtaken.lsid, overtaken.gid) == (405, 2)


async def test_an_acknowledged_transfer_advances_done_and_drops_what_it_covers(tmp_path: Path) -> None:
    records = make(tmp_path)
    for lsid, is_mergeable in ((0, False), (903, True), (2019, True), (2109, True)):
        await records.take(lsid, MAX_PB, is_mergeable=is_mergeable)
    transfer = plan_transfer(records.done, records.queue, 2109, MAX_PB)
    assert transfer is not None
    await records.advance(transfer, 0)
    assert records.done.gid == 1
    transfer = plan_transfer(records.done, records.queue, 2109, MAX_PB)
    assert transfer is not None
    await records.advance(transfer, 2019)
    again = reload(tmp_path)
    assert (again.done.lsid, again.done.gid) == (2019, 3)
    assert [record.lsid for record in again.queue] == [2109]


async def test_a_reset_during_a_transfer_is_not_overwritten_by_its_end(tmp_path: Path) -> None:
    records = make(tmp_path)
    await records.take(500, MAX_PB, is_mergeable=True)
    transfer = plan_transfer(records.done, records.queue, 500, MAX_PB)
    assert transfer is not None
    await records.reset(14)
    with pytest.raises(BadState, match="records changed during a transfer"):
        await records.advance(transfer, 500)
    assert (reload(tmp_path).done.lsid, reload(tmp_path).done.gid) == (0, 14)


class FullDisk(Files):
    """Refuses every write once told so."""

    is_full = False

    def save(self, path: Path, data: bytes) -> None:
        if self.is_full:
            raise StorageFailure(f"cannot write {path}: No space left on device")
        super().save(path, data)


async def test_a_snapshot_that_could_not_be_written_does_not_exist(tmp_path: Path) -> None:
    files = FullDisk()
    records = make(tmp_path, files)
    files.is_full = True
    with pytest.raises(StorageFailure, match="No space left"):
        await records.take(10, MAX_PB, is_mergeable=False)
    assert records.queue == [] == reload(tmp_path).queue


def test_a_volume_that_was_never_backed_up_has_no_position() -> None:
    assert str(initial_done(5).status_text()).endswith("lsid 18446744073709551615 gid 18446744073709551615")
