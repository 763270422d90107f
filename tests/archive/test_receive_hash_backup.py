"""Hash backup as its archive sees it: what is restored afterwards, and every way in which it can end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.archive.archive_testing import (
    OTHER_UUID,
    START_SEC,
    UUID,
    RunningArchive,
    clean_diff,
    content,
    names,
    running_archive,
)
from tests.archive.history import IMAGE, LAST, ROUNDS, check_restorable, image_at, make_history
from tests.archive.packs import Write
from walbd.model.error import Refused
from walbd.model.snapshot import Snapshot
from walbd.model.timetext import digits
from walbd.net.hash_backup import HashBackupSender
from walbd.net.wdiff_transfer import Answer, WdiffSender

# The last content with a block changed, one that became zeros, and one that is as it was in the base.
DEVICE = IMAGE[:4096] + bytes(4096) + image_at(LAST)[8192:-512] + b"z" * 512
STEPS = ["uuid", "image", "snapshot"]


class Interrupted(Exception):
    """The storage dies."""


@pytest.fixture
async def archived(archive: RunningArchive) -> AsyncIterator[RunningArchive]:
    """v0 with gids 1 to LAST."""
    await make_history(archive)
    yield archive


async def make_clean(archive: RunningArchive, gid: int, volume: str = "v0") -> bytes:
    """Ships the log of the backup, which holds nothing; returns what is restored then."""
    assert await archive.offer(clean_diff(gid, gid + 1, False), [], uuid=OTHER_UUID, volume=volume) is Answer.ACCEPT
    return await archive.restored_content(gid + 1, volume)


async def test_a_hash_backup_makes_a_diff_that_leads_to_the_present_content(archived: RunningArchive) -> None:
    gid = await archived.hash_backup(DEVICE, 8)
    assert gid == LAST + 1
    assert await archived.get("state", "v0") == ["Archived"]
    assert await archived.get("uuid", "v0") == [OTHER_UUID.hex()]
    assert await archived.get("progress", "v0") == ["0"]
    name = f"{digits(START_SEC + 100)}----{LAST}-{LAST}-{gid}-8.wdiff"
    assert name in names(archived.base / "v0", "*.wdiff")
    assert await archived.scan(gid) == DEVICE
    assert await check_restorable(archived) == list(range(1, LAST + 1))
    # The image is dirty until the log up to its end gid has come.
    assert await archived.offer(clean_diff(gid, 8), [Write(1, b"n" * 512)], uuid=OTHER_UUID) is Answer.ACCEPT
    assert await archived.restored_content(8) == DEVICE[:512] + b"n" * 512 + DEVICE[1024:]
    assert any("dirty-hash-sync2:succeeded:v0:elapsed_time" in line for line in archived.lines)


async def test_diffs_of_the_log_before_the_backup_are_refused(archived: RunningArchive) -> None:
    gid = await archived.hash_backup(DEVICE, 0)
    assert await archived.offer(clean_diff(LAST, LAST + 9), [], uuid=UUID) is Answer.DIFFERENT_UUID
    assert await make_clean(archived, gid) == DEVICE


async def test_diffs_of_both_logs_are_applied_and_kept_apart_by_merge(archived: RunningArchive) -> None:
    gid = await archived.hash_backup(DEVICE, 0)
    assert await make_clean(archived, gid) == DEVICE
    await archived.call("merge", "v0", "0", "size", "100")
    await archived.call("apply", "v0", str(gid + 1))
    assert content(archived.base / "v0/wb_v0") == DEVICE


async def test_an_unchanged_volume_gives_an_empty_diff(archived: RunningArchive) -> None:
    gid = await archived.hash_backup(image_at(LAST), 0)
    sizes = [int(line.split()[-1]) for line in await archived.get("diff", "v0")]
    assert sizes[-1] == 32 + 4096
    assert await make_clean(archived, gid) == image_at(LAST)


async def test_a_second_backup_follows_the_dirty_snapshot_of_the_first(archived: RunningArchive) -> None:
    first = await archived.hash_backup(IMAGE, 9)
    second = await archived.hash_backup(DEVICE, 0)
    assert second == 10 and first < second
    # Nothing between the two can be restored, so that they may be merged.
    assert [line.split()[1] for line in await archived.get("diff", "v0")][-2:] == ["--", "M-"]
    assert await make_clean(archived, second) == DEVICE
    assert await check_restorable_before(archived) == list(range(1, LAST + 1))


async def check_restorable_before(archive: RunningArchive) -> list[int]:
    gids = [int(line.split()[0]) for line in await archive.get("restorable", "v0", "all")]
    old = [gid for gid in gids if gid <= LAST]
    for gid in old:
        assert await archive.scan(gid) == image_at(gid)
    return old


async def test_gids_of_diffs_behind_a_gap_are_never_given_again(base: Path) -> None:
    async with running_archive(base) as archive:
        await archive.call("init-vol", "v0")
        await make_history(archive)
        (missing,) = (path for path in (base / "v0").glob("*.wdiff") if path.name.endswith("-3-4.wdiff"))
    missing.unlink()
    async with running_archive(base) as archive:
        gid = await archive.hash_backup(DEVICE, 0)
        assert gid == LAST + 1
        assert await make_clean(archive, gid) == DEVICE
    async with running_archive(base) as archive:
        assert await archive.scan(gid + 1) == DEVICE


async def test_a_backed_up_volume_survives_a_restart(base: Path) -> None:
    async with running_archive(base) as archive:
        await archive.call("init-vol", "v0")
        await make_history(archive)
        gid = await archive.hash_backup(DEVICE, 0)
    async with running_archive(base) as archive:
        assert await archive.get("uuid", "v0") == [OTHER_UUID.hex()]
        assert await make_clean(archive, gid) == DEVICE


@pytest.mark.parametrize("last_step", STEPS)
async def test_a_storage_that_dies_leaves_the_volume_as_it_was(archived: RunningArchive, last_step: str) -> None:
    def die(step: str) -> None:
        if step == last_step:
            raise Interrupted

    before = await archived.call("status", "v0"), names(archived.base / "v0")
    with pytest.raises(Interrupted):
        await archived.hash_backup(DEVICE, 0, before=die)
    await archived.until(lambda: archived.daemon.volumes.state("v0") == "Archived")
    await archived.until(lambda: not archived.daemon.works.running())
    assert (await archived.call("status", "v0"), names(archived.base / "v0")) == before
    assert await make_clean(archived, await archived.hash_backup(DEVICE, 0)) == DEVICE


@pytest.mark.parametrize("step", STEPS)
async def test_a_forced_stop_ends_a_backup_whose_storage_says_nothing(
    archived: RunningArchive, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    reached = asyncio.Event()

    async def say_nothing(*_: object) -> None:
        reached.set()
        await asyncio.Event().wait()

    sends = {"uuid": "send_log_uuid", "image": "send_image", "snapshot": "send_snapshot"}
    monkeypatch.setattr(HashBackupSender, sends[step], say_nothing)
    backup = asyncio.create_task(archived.hash_backup(DEVICE, 0))
    await reached.wait()
    assert await archived.offer(clean_diff(LAST, LAST + 1), []) is Answer.SYNCING
    await archived.call("stop", "v0", "force")
    assert await archived.get("state", "v0") == ["Stopped"]
    assert names(archived.base / "v0", "tmp*") == []
    backup.cancel()


async def test_the_base_may_be_applied_and_diffs_merged_while_it_is_compared(archived: RunningArchive) -> None:
    loop, may_go_on = asyncio.get_running_loop(), asyncio.Event()
    reached = asyncio.Event()

    class Held(HashBackupSender):
        async def send_log_uuid(self, uuid: bytes) -> None:
            reached.set()
            await may_go_on.wait()
            await super().send_log_uuid(uuid)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.archive.archive_testing.HashBackupSender", Held)
        backup = loop.create_task(archived.hash_backup(DEVICE, 0))
        await reached.wait()
        await archived.call("apply", "v0", "2")
        await archived.call("merge", "v0", "0", "size", "100")
        may_go_on.set()
        gid = await backup
    assert await make_clean(archived, gid) == DEVICE


@pytest.mark.parametrize(
    ("length", "reason"), [(len(IMAGE) + 512, "smaller-lv-size:v0:129:128"), (2 * len(IMAGE), "smaller-lv-size")]
)
async def test_a_volume_larger_than_the_image_is_refused_before_anything_is_lost(
    archived: RunningArchive, length: int, reason: str
) -> None:
    with pytest.raises(Refused, match=reason) as caught:
        await archived.hash_backup(bytes(length), 0)
    assert f"resize v0 {length}" in caught.value.hint
    assert await archived.get("state", "v0") == ["Archived"]


async def test_the_image_grows_with_autoresize(base: Path) -> None:
    async with running_archive(base, auto_resize=True) as archive:
        await archive.call("init-vol", "v0")
        await make_history(archive)
        grown = DEVICE + bytes(8192) + b"end!" * 128
        gid = await archive.hash_backup(grown, 0)
        assert await make_clean(archive, gid) == grown


async def test_of_a_larger_image_only_the_volume_is_compared(archived: RunningArchive) -> None:
    await archived.call("resize", "v0", str(len(IMAGE) + 65536))
    gid = await archived.hash_backup(DEVICE, 0)
    assert await make_clean(archived, gid) == DEVICE + bytes(65536)


async def test_a_diff_that_is_just_arriving_comes_first(
    archived: RunningArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()
    send = WdiffSender.send_packs

    async def send_later(self: WdiffSender, *words: Any) -> None:
        begun.set()
        await may_end.wait()
        await send(self, *words)

    monkeypatch.setattr(WdiffSender, "send_packs", send_later)
    diff = asyncio.create_task(archived.offer(clean_diff(LAST, LAST + 1), [Write(3, b"3" * 512)]))
    await begun.wait()
    backup = asyncio.create_task(archived.hash_backup(DEVICE, 0))
    may_end.set()
    assert await diff is Answer.ACCEPT
    assert await backup == LAST + 2
    assert await archived.scan(LAST + 2) == DEVICE


async def test_only_an_archived_volume_takes_a_hash_backup(archive: RunningArchive) -> None:
    with pytest.raises(Refused, match="bad state:v0:SyncReady"):
        await archive.hash_backup(DEVICE, 0)
    with pytest.raises(Refused, match="bad state:v1:Clear"):
        await archive.hash_backup(DEVICE, 0, volume="v1")
    await make_history(archive)
    await archive.call("stop", "v0")
    with pytest.raises(Refused, match="bad state:v0:Stopped"):
        await archive.hash_backup(DEVICE, 0)


async def test_a_backup_beyond_the_limit_of_foreground_work_is_refused(base: Path) -> None:
    async with running_archive(base, max_foreground=1) as archive:
        for volume in ("v0", "v1"):
            await archive.call("init-vol", volume)
            await make_history(archive, volume=volume)

        async def begin_other() -> None:
            with pytest.raises(Refused, match="exceeds max foreground tasks:1"):
                await archive.hash_backup(DEVICE, 0, volume="v1")

        others = []

        def before(step: str) -> None:
            if step == "uuid":
                others.append(asyncio.create_task(begin_other()))

        await archive.hash_backup(DEVICE, 0, before=before)
        await asyncio.gather(*others)


async def test_an_image_of_many_units_is_compared_whole(archive: RunningArchive) -> None:
    """More than the hashes may run ahead; bulks of the smallest size fill frames with many packs."""
    old = os.urandom(36 << 20)
    new = bytearray(old)
    new[5 << 20 : 7 << 20] = os.urandom(2 << 20)
    new[30 << 20 : 34 << 20] = bytes(4 << 20)
    new[-512:] = b"e" * 512
    await archive.full_backup(old, Snapshot(0, 1))
    assert await archive.offer(clean_diff(0, 1), [], size_lb=len(old) // 512) is Answer.ACCEPT
    gid = await archive.hash_backup(bytes(new), 0, bulk_bytes=512)
    assert await archive.scan(gid) == bytes(new)
    again = await archive.hash_backup(bytes(new), 0, bulk_bytes=4 << 20)
    assert await archive.scan(again) == bytes(new)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(0, 127), st.integers(1, 30), st.integers(0, 255)), max_size=6),
    bulk_blocks=st.sampled_from([1, 2, 3, 7, 8, 64, 128, 129]),
)
async def test_any_changes_and_bulks_lead_to_the_present_content(
    archived: RunningArchive, changes: list[tuple[int, int, int]], bulk_blocks: int
) -> None:
    device = bytearray(image_at(LAST))
    for begin, count, byte in changes:
        end = min(begin + count, 128)
        device[begin * 512 : end * 512] = bytes([byte]) * ((end - begin) * 512)
    gid = await archived.hash_backup(bytes(device), 0, bulk_bytes=bulk_blocks * 512)
    assert await archived.scan(gid) == bytes(device)
    assert ROUNDS and await archived.scan(LAST) == image_at(LAST)
