from __future__ import annotations

import pytest

from tests.archive.archive_testing import BULK_BYTES, RunningArchive
from tests.archive.history import IMAGE, check_restorable, image_at, make_history
from walbd.model.error import Refused
from walbd.wdiff.hashes import murmur3

SIZE_LB = len(IMAGE) // 512


def bulk_hash(image: bytes, bulk_bytes: int) -> str:
    """All bulks' hashes, seeded 0, 1, 2, ..., joined by exclusive or (wdiff-format.md section 11.3)."""
    joined = 0
    for seed, at in enumerate(range(0, len(image), bulk_bytes)):
        joined ^= int.from_bytes(murmur3(image[at : at + bulk_bytes], seed), "big")
    return f"{joined:032x}"


@pytest.fixture
async def history(archive: RunningArchive) -> RunningArchive:
    await make_history(archive)
    return archive


@pytest.mark.parametrize("bulk_bytes", [4096, 64 << 10])
async def test_bhash_is_the_hash_of_the_image_of_that_gid(history: RunningArchive, bulk_bytes: int) -> None:
    for gid in (1, 3, 5):
        (found,) = await history.call("bhash", "v0", str(gid), str(bulk_bytes))
        assert found == bulk_hash(image_at(gid), bulk_bytes)


async def test_bhash_of_a_part(history: RunningArchive) -> None:
    (found,) = await history.call("bhash", "v0", "4", str(BULK_BYTES), "4K")
    assert found == bulk_hash(image_at(4)[:4096], BULK_BYTES)


async def test_a_scan_of_a_part_ends_there(history: RunningArchive) -> None:
    assert await history.scan(5, size_lb=9) == image_at(5)[: 9 * 512]


async def test_a_gid_that_cannot_be_had_is_refused(history: RunningArchive) -> None:
    await history.call("merge", "v0", "2", "gid", "5")
    for gid in (4, 9):
        with pytest.raises(Refused, match=str(gid)):
            await history.call("bhash", "v0", str(gid))
        with pytest.raises(Refused, match=str(gid)):
            await history.scan(gid)


async def test_the_dirty_snapshot_of_the_base_can_be_read(history: RunningArchive) -> None:
    assert await history.scan(0) == image_at(0)


async def test_more_than_the_image_is_refused(history: RunningArchive) -> None:
    with pytest.raises(Refused, match=f"bhash:bad size:v0:{SIZE_LB + 8}:{SIZE_LB}"):
        await history.call("bhash", "v0", "5", str(BULK_BYTES), str((SIZE_LB + 8) * 512))
    with pytest.raises(Refused, match="virt-full-scan:bad size"):
        await history.scan(5, size_lb=SIZE_LB + 8)


async def test_a_scan_leaves_no_trace(history: RunningArchive) -> None:
    await history.scan(5)
    assert await history.get("restored", "v0") == []
    await history.call("apply", "v0", "5")
    assert await check_restorable(history) == [5]
