"""Random histories: whatever arrives, every restorable gid has the content its diffs make of the backup."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.archive.archive_testing import RunningArchive, clean_diff, running_archive
from tests.archive.packs import Io, Write, Zero, apply_ios
from walbd.model.snapshot import Snapshot
from walbd.net.wdiff_transfer import Answer

SIZE_LB = 32
IMAGE = bytes(range(1, 33)) * 512


@st.composite
def ios(draw: st.DrawFn) -> list[Io]:
    """Ordered, without overlap."""
    borders = sorted(draw(st.sets(st.integers(0, SIZE_LB), max_size=8)))
    found: list[Io] = []
    for begin, end in zip(borders[::2], borders[1::2], strict=False):
        kind = draw(st.sampled_from(("write", "zero", "discard")))
        if kind == "write":
            found.append(Write(begin, bytes([draw(st.integers(0, 255))]) * 512 * (end - begin)))
        else:
            found.append(Zero(begin, end - begin, is_discard=kind == "discard"))
    return found


STEPS = st.lists(st.tuples(st.integers(1, 3), st.booleans(), ios()), min_size=1, max_size=6)


async def send(archive: RunningArchive, steps: list[tuple[int, bool, list[Io]]]) -> dict[int, bytes]:
    """Sends a history; returns what each gid must contain."""
    gid = 0
    image = bytearray(IMAGE)
    expected = {0: IMAGE}
    for advance, is_mergeable, changes in steps:
        diff = clean_diff(gid, gid + advance, is_mergeable)
        assert await archive.offer(diff, changes, size_lb=SIZE_LB) is Answer.ACCEPT
        assert await archive.offer(diff, changes, size_lb=SIZE_LB) is Answer.TOO_OLD_DIFF
        gid += advance
        apply_ios(image, changes)
        expected[gid] = bytes(image)
    return expected


async def check(steps: list[tuple[int, bool, list[Io]]], gid_of_backup: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with running_archive(Path(folder)) as archive:
            await archive.call("init-vol", "v0")
            await archive.full_backup(IMAGE, Snapshot(0, gid_of_backup))
            expected = await send(archive, steps)
            lines = [line.split() for line in await archive.get("restorable", "v0", "all")]
        async with running_archive(Path(folder)) as archive:
            assert [line.split() for line in await archive.get("restorable", "v0", "all")] == lines
            for gid, _, flag in lines:
                assert await archive.restored_content(int(gid)) == expected[int(gid)]
                assert flag in "01"
        # The image of the backup is dirty until the log up to its end was applied.
        assert [int(gid) for gid, *_ in lines] == [gid for gid in expected if gid >= gid_of_backup]


@given(STEPS, st.integers(0, 3))
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_restorable_gid_has_the_content_of_its_history(
    steps: list[tuple[int, bool, list[Io]]], gid_of_backup: int
) -> None:
    asyncio.run(check(steps, gid_of_backup))


@pytest.mark.long
@given(STEPS, st.integers(0, 3))
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_restorable_gid_has_the_content_of_its_history_at_length(
    steps: list[tuple[int, bool, list[Io]]], gid_of_backup: int
) -> None:
    asyncio.run(check(steps, gid_of_backup))
