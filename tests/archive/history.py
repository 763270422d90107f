"""A volume with a few snapshots whose content is known."""

from __future__ import annotations

import random

from tests.archive.archive_testing import RunningArchive, clean_diff
from tests.archive.packs import Io, Write, Zero, apply_ios
from walbd.model.snapshot import Snapshot
from walbd.net.wdiff_transfer import Answer

IMAGE = random.Random(7).randbytes(64 << 10)
ROUNDS: list[list[Io]] = [
    [Write(0, b"a" * 1024)],
    [Write(1, b"b" * 512), Zero(60, 8)],
    [Zero(1, 1, is_discard=True), Write(127, b"c" * 512)],
    [Write(20, b"d" * 4096)],
    [Write(0, b"e" * 512), Zero(22, 2, is_discard=True)],
]
LAST = len(ROUNDS)


def image_at(gid: int) -> bytes:
    """The oracle."""
    image = bytearray(IMAGE)
    for ios in ROUNDS[:gid]:
        apply_ios(image, ios)
    return bytes(image)


async def make_history(archive: RunningArchive, explicit: tuple[int, ...] = (2,), volume: str = "v0") -> None:
    """Gids 1 to LAST in a volume that is SyncReady; 0 is the dirty base. The snapshots in `explicit` are explicit."""
    await archive.full_backup(IMAGE, Snapshot(0, 1), volume=volume)
    for gid, ios in enumerate(ROUNDS):
        diff = clean_diff(gid, gid + 1, is_mergeable=gid not in explicit)
        assert await archive.offer(diff, ios, volume=volume) is Answer.ACCEPT


async def check_restorable(archive: RunningArchive, volume: str = "v0") -> list[int]:
    """Every restorable gid has its content, restored and scanned; returns them."""
    gids = [int(line.split()[0]) for line in await archive.get("restorable", volume, "all")]
    for gid in gids:
        assert await archive.scan(gid, volume) == image_at(gid)
        if str(gid) not in await archive.get("restored", volume):
            assert await archive.restored_content(gid, volume) == image_at(gid)
            await archive.call("del-restored", volume, str(gid))
    return gids
