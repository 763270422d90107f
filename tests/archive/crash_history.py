"""The volumes that crash tests begin with, and what they must contain afterwards."""

from __future__ import annotations

import random
from pathlib import Path

from tests.archive.archive_testing import clean_diff, running_archive
from tests.archive.packs import Io, Write, Zero, apply_ios
from walbd.model.snapshot import Snapshot

_RANDOM = random.Random(1)
IMAGE = _RANDOM.randbytes(64 << 10)
STALE_IMAGE = _RANDOM.randbytes(64 << 10)
NEW_IMAGE = _RANDOM.randbytes(16 << 10) + bytes(48 << 10)
ROUNDS: list[list[Io]] = [
    [Write(0, b"a" * 1024), Zero(60, 8)],
    [Write(1, b"b" * 512)],
    [Zero(1, 1, is_discard=True), Write(127, b"c" * 512)],
    [Write(2, b"d" * 512)],
]

# What the device contains when a hash backup follows gid 3.
HASHED_IMAGE = bytes(4096) + _RANDOM.randbytes(4096) + IMAGE[8192:]


def image_at(gid: int) -> bytes:
    """The oracle."""
    image = bytearray(IMAGE)
    for ios in ROUNDS[:gid]:
        apply_ios(image, ios)
    return bytes(image)


async def prepare(base: Path) -> None:
    """In an empty base directory: v0 Archived with gids 1 to 3, 1 restored; `stopped` the same but Stopped; `ready`
    SyncReady with the image of an interrupted backup."""
    async with running_archive(base) as archive:
        for volume in ("v0", "stopped", "ready"):
            await archive.call("init-vol", volume)
        for volume in ("v0", "stopped"):
            await archive.full_backup(IMAGE, Snapshot(0, 1), volume=volume)
            for gid in range(3):
                await archive.offer(clean_diff(gid, gid + 1), ROUNDS[gid], volume=volume)
            await archive.call("restore", volume, "1")
        await archive.call("stop", "stopped")
    (base / "ready/wb_ready").write_bytes(STALE_IMAGE)
