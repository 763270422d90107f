"""Replication between two archives: what the second one restores, and every way in which it can end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.archive.archive_testing import OTHER_UUID, UUID, RunningArchive, clean_diff, content, names, running_archive
from tests.archive.history import LAST, check_restorable, image_at, make_history
from tests.archive.packs import Write
from walbd.model.compression import CompressionType, CompressOpt
from walbd.model.error import Refused
from walbd.model.snapshot import Snapshot
from walbd.net.replication import ReplicationSender
from walbd.net.wdiff_transfer import Answer
from walbd.world.reading import reading

ALL = list(range(1, LAST + 1))


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[RunningArchive, RunningArchive]]:
    """An archive with gids 1 to LAST of v0, and one with v0 in SyncReady."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    async with running_archive(tmp_path / "a") as first, running_archive(tmp_path / "b", node_id="a1") as second:
        for archive in (first, second):
            await archive.call("init-vol", "v0")
        await make_history(first)
        yield first, second


async def replicate(first: RunningArchive, second: RunningArchive, *more: str, by: str = "size", to: int = 0) -> None:
    await first.call("replicate", "v0", by, str(to), str(second.address), *more)
    await second.until(lambda: not second.daemon.works.running())


async def latest_gid(archive: RunningArchive) -> int:
    (line,) = await archive.get("latest-snap", "v0")
    return int(line.split("gid:")[1].split()[0])


async def test_a_full_replication_brings_every_snapshot(pair: tuple[RunningArchive, RunningArchive]) -> None:
    first, second = pair
    await replicate(first, second, "0", "1")
    for target in ("state", "base", "uuid", "archive-uuid"):
        assert await second.get(target, "v0") == await first.get(target, "v0")
    assert await check_restorable(second) == ALL
    assert [line.split()[:2] for line in await second.get("diff", "v0")] == [
        line.split()[:2] for line in await first.get("diff", "v0")
    ]
    assert "full_repl_state" not in names(second.base / "v0")
    assert await second.get("progress", "v0") == ["0"]
    assert any("replication as client succeeded:v0" in line for line in first.lines)
    assert any("replication as server succeeded:v0" in line for line in second.lines)


async def test_diffs_are_merged_between_explicit_snapshots_while_they_are_sent(
    pair: tuple[RunningArchive, RunningArchive],
) -> None:
    first, second = pair
    await replicate(first, second, "0", "0", "zstd:0:1")
    assert await check_restorable(second) == [2, LAST]
    assert await second.get("num-diff", "v0") == ["2"]


async def test_merging_stops_at_a_size_and_at_a_number_of_files(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    async with (
        running_archive(tmp_path / "a", max_wdiffs=2) as first,
        running_archive(tmp_path / "b") as second,
        running_archive(tmp_path / "c") as third,
    ):
        for archive in (first, second, third):
            await archive.call("init-vol", "v0")
        await make_history(first, explicit=())
        await replicate(first, second)
        assert await check_restorable(second) == [2, 4, LAST]
        await replicate(first, third, "0", "0", "snappy:0:1", "1")
        assert await check_restorable(third) == ALL


async def test_a_gid_bounds_where_the_diffs_begin(pair: tuple[RunningArchive, RunningArchive]) -> None:
    first, second = pair
    await replicate(first, second, by="gid", to=0)
    assert await latest_gid(second) == 0
    await replicate(first, second, "0", "1", by="gid", to=3)
    assert await latest_gid(second) == 3
    await replicate(first, second, by="gid", to=4)
    assert await latest_gid(second) == LAST


async def test_a_size_leaves_as_much_behind(pair: tuple[RunningArchive, RunningArchive]) -> None:
    first, second = pair
    await replicate(first, second, to=1)
    assert await latest_gid(second) == 0
    await replicate(first, second)
    assert await latest_gid(second) == LAST


async def test_what_came_since_the_last_time_follows(pair: tuple[RunningArchive, RunningArchive]) -> None:
    first, second = pair
    await replicate(first, second)
    assert await first.offer(clean_diff(LAST, LAST + 1), [Write(9, b"9" * 512)]) is Answer.ACCEPT
    await replicate(first, second)
    image = bytearray(image_at(LAST))
    image[9 * 512 : 10 * 512] = b"9" * 512
    assert await second.restored_content(LAST + 1) == bytes(image)
    await replicate(first, second)
    assert await latest_gid(second) == LAST + 1


async def test_diffs_of_the_proxy_are_taken_by_the_replica_too(pair: tuple[RunningArchive, RunningArchive]) -> None:
    first, second = pair
    await replicate(first, second)
    assert await second.offer(clean_diff(LAST, LAST + 1), [], uuid=UUID) is Answer.ACCEPT
    assert await second.offer(clean_diff(LAST + 1, LAST + 2), [], uuid=OTHER_UUID) is Answer.DIFFERENT_UUID


async def test_a_replica_behind_the_base_gets_what_differs(pair: tuple[RunningArchive, RunningArchive]) -> None:
    first, second = pair
    await replicate(first, second, "0", "1", by="gid", to=2)
    assert await latest_gid(second) == 2
    await first.call("apply", "v0", "4")
    await replicate(first, second)
    lines = await second.get("diff", "v0")
    assert any("|2|-->|4| MC" in line for line in lines)
    assert await check_restorable(second) == [1, 2, 4, 5]


async def test_a_hash_step_goes_on_from_a_dirty_snapshot(pair: tuple[RunningArchive, RunningArchive]) -> None:
    first, second = pair
    await replicate(first, second, by="gid", to=0)
    await first.call("apply", "v0", "3")
    await replicate(first, second)
    assert await check_restorable(second) == [3, 5]


async def test_another_history_is_not_given_up_without_being_asked(
    pair: tuple[RunningArchive, RunningArchive],
) -> None:
    first, second = pair
    await second.full_backup(os.urandom(64 << 10), uuid=OTHER_UUID)
    before = await second.call("status", "v0")
    with pytest.raises(Refused, match="resync is required but not allowed:v0"):
        await replicate(first, second)
    assert await second.call("status", "v0") == before


async def test_a_resync_makes_the_other_history_ours(pair: tuple[RunningArchive, RunningArchive]) -> None:
    first, second = pair
    other = bytearray(image_at(0))
    other[8192:12288] = os.urandom(4096)
    await second.full_backup(bytes(other), uuid=OTHER_UUID)
    await second.offer(clean_diff(0, 7), [Write(40, b"x" * 512)], uuid=OTHER_UUID)
    await second.call("restore", "v0", "7")
    await replicate(first, second, "1", "1", "snappy:0:1", "1G", "4096")
    assert await second.get("archive-uuid", "v0") == await first.get("archive-uuid", "v0")
    assert await second.get("restored", "v0") == []
    assert await check_restorable(second) == ALL


async def test_a_resync_of_a_half_applied_base_brings_the_state_it_is_on_its_way_to(
    pair: tuple[RunningArchive, RunningArchive], tmp_path: Path
) -> None:
    first, second = pair
    await second.full_backup(os.urandom(64 << 10), uuid=OTHER_UUID)
    first.daemon.volumes.get("v0").content.base = half_applied(first)
    with pytest.raises(Refused, match="half applied"):
        (tmp_path / "c").mkdir()
        async with running_archive(tmp_path / "c") as third:
            await third.call("init-vol", "v0")
            await replicate(first, third)
    await replicate(first, second, "1", "1")
    assert await check_restorable(second) == [2, 3, 4, 5]


def half_applied(archive: RunningArchive) -> Any:
    """The base while diffs up to gid 2 are being applied."""
    from walbd.model.selection import state_at

    content = archive.daemon.volumes.get("v0").content
    return state_at(content.diffs, content.base, 2, is_applying=True)


async def test_a_smaller_history_is_not_pressed_into_a_larger_image(
    pair: tuple[RunningArchive, RunningArchive],
) -> None:
    first, second = pair
    await second.full_backup(bytes(128 << 10), uuid=OTHER_UUID)
    with pytest.raises(Refused, match="You tried to shrink the volume"):
        await replicate(first, second, "1")
    assert await second.get("state", "v0") == ["Archived"]


async def test_a_volume_that_has_grown_needs_room_at_the_replica(pair: tuple[RunningArchive, RunningArchive]) -> None:
    first, second = pair
    await replicate(first, second)
    await first.call("resize", "v0", "128K")
    await first.offer(clean_diff(LAST, LAST + 1), [Write(200, b"g" * 512)])
    with pytest.raises(Refused, match="smaller-lv-size:v0:256:128"):
        await replicate(first, second)
    await second.call("resize", "v0", "128K")
    await replicate(first, second)
    assert await second.scan(LAST + 1) == await first.scan(LAST + 1)


async def test_diffs_of_several_logs_are_not_merged(pair: tuple[RunningArchive, RunningArchive]) -> None:
    first, second = pair
    image = image_at(LAST)[:-512] + b"h" * 512
    gid = await first.hash_backup(image, 0)
    await first.offer(clean_diff(gid, gid + 1), [], uuid=OTHER_UUID)
    await replicate(first, second)
    assert await second.restored_content(gid + 1) == image
    assert await second.scan(LAST) == image_at(LAST)


class Interrupted(Exception):
    """The client dies."""


async def test_a_full_replication_goes_on_where_it_was_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image, interval = os.urandom(12 << 20), 2 << 20
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    plain = CompressOpt(CompressionType.NONE, 0, 1)
    async with running_archive(tmp_path / "a", compress=plain) as first:
        await first.call("init-vol", "v0")
        await first.full_backup(image, Snapshot(0, 1))
        await first.offer(clean_diff(0, 1), [], size_lb=len(image) // 512)
        async with running_archive(tmp_path / "b", sync_interval_bytes=interval) as second:
            await second.call("init-vol", "v0")
            with monkeypatch.context() as patch:
                patch.setattr("walbd.archive.replicate.reading", dying_at(7 << 20))
                with pytest.raises(Refused):
                    await replicate(first, second)
            await second.until(lambda: second.daemon.volumes.state("v0") == "SyncReady")
            (line,) = [line for line in await second.call("status", "v0") if "fullReplState" in line]
        begun_lb = int(line.split()[2])
        async with running_archive(tmp_path / "b", sync_interval_bytes=interval) as second:
            read: list[int] = []
            monkeypatch.setattr("walbd.archive.replicate.reading", noting(read))
            await replicate(first, second)
            assert min(read) == begun_lb * 512 >= (6 << 20) - interval
            assert content(second.base / "v0/wb_v0") == image
            assert await latest_gid(second) == 1


def dying_at(offset: int) -> Any:
    def reading_until(fd: int, volume: str) -> Any:
        read_at = reading(fd, volume)

        def read(at: int, memory: memoryview) -> None:
            if at + len(memory) > offset:
                raise Interrupted
            read_at(at, memory)

        return read

    return reading_until


def noting(noted: list[int]) -> Any:
    def reading_noted(fd: int, volume: str) -> Any:
        read_at = reading(fd, volume)

        def read(at: int, memory: memoryview) -> None:
            noted.append(at)
            read_at(at, memory)

        return read

    return reading_noted


async def test_a_full_replication_of_another_image_begins_anew(
    pair: tuple[RunningArchive, RunningArchive], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = pair
    with monkeypatch.context() as patch:
        patch.setattr("walbd.archive.replicate.reading", dying_at(0))
        with pytest.raises(Refused):
            await replicate(first, second)
    await second.until(lambda: second.daemon.volumes.state("v0") == "SyncReady")
    await first.call("apply", "v0", "3")
    await replicate(first, second)
    assert await check_restorable(second) == [3, 5]


@pytest.mark.parametrize("step", ["send_image", "resync", "send_hash_diff", "send_diff"])
async def test_a_forced_stop_ends_a_server_whose_client_says_nothing(
    pair: tuple[RunningArchive, RunningArchive], monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    first, second = pair
    reached = asyncio.Event()

    async def say_nothing(*_: object) -> None:
        reached.set()
        await asyncio.Event().wait()

    if step == "send_hash_diff":
        await replicate(first, second, by="gid", to=0)
        await first.call("apply", "v0", "3")
    if step == "resync":
        await second.full_backup(bytes(64 << 10))
    monkeypatch.setattr(ReplicationSender, step, say_nothing)
    running = asyncio.create_task(replicate(first, second, "1" if step == "resync" else "0"))
    await reached.wait()
    await second.call("stop", "v0", "force")
    assert await second.get("state", "v0") == ["SyncReady" if step == "send_image" else "Stopped"]
    await first.call("stop", "v0", "force")
    assert await first.get("state", "v0") == ["Stopped"]
    with pytest.raises(Refused, match=r"force stopped|stop or shutdown"):
        await running


async def test_a_destination_that_is_not_there_or_not_ready_is_reported(
    pair: tuple[RunningArchive, RunningArchive],
) -> None:
    first, second = pair
    with pytest.raises(Refused, match=r"cannot connect to 127\.0\.0\.1:1"):
        await first.call("replicate", "v0", "size", "0", "127.0.0.1:1")
    await second.call("clear-vol", "v0")
    with pytest.raises(Refused, match="bad state:v0:Clear"):
        await replicate(first, second)
    assert await first.get("num-action", "v0", "ReplSyncAsClient") == ["0"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("v0", "gid", "x", "h:1"), "not a number:x"),
        (("v0", "bytes", "1", "h:1"), "bad replicate parameter:bytes"),
        (("v0", "size", "0", "h"), "bad"),
        (("v0", "size", "0", "h:1", "0", "0", "snappy:0:1", "0"), "MAXMERGE"),
        (("v0", "size", "0", "h:1", "0", "0", "snappy:0:1", "1G", "100"), "bulk size"),
        (("v0", "size", "0"), "missing required params"),
    ],
)
async def test_wrong_parameters_are_refused(archive: RunningArchive, words: tuple[str, ...], reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        await archive.call("replicate", *words)


async def test_progress_and_result_are_kept(pair: tuple[RunningArchive, RunningArchive]) -> None:
    first, second = pair
    await replicate(first, second)
    for archive, kind in ((first, "replicate"), (second, "repl-sync3")):
        (line,) = [line for line in await archive.get("last-result", "v0") if f"kind:{kind}" in line]
        assert "result:succeeded" in line


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("apply"), st.integers(1, LAST)),
            st.tuples(st.just("merge"), st.integers(0, LAST)),
            st.tuples(st.just("replicate"), st.integers(0, LAST)),
        ),
        max_size=6,
    ),
    is_merged=st.booleans(),
)
async def test_whatever_was_applied_and_merged_common_snapshots_are_equal(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]], is_merged: bool
) -> None:
    folder = tmp_path_factory.mktemp("pair")
    for name in ("a", "b"):
        (folder / name).mkdir()
    async with running_archive(folder / "a") as first, running_archive(folder / "b") as second:
        for archive in (first, second):
            await archive.call("init-vol", "v0")
        await make_history(first)
        flag = "0" if is_merged else "1"
        for word, gid in [*steps, ("replicate", LAST + 1)]:
            try:
                match word:
                    case "apply":
                        await first.call("apply", "v0", str(gid))
                    case "merge":
                        await first.call("merge", "v0", str(gid), "size", "100")
                    case "replicate":
                        await replicate(first, second, "0", flag, by="gid", to=gid)
            except Refused as error:
                assert word != "replicate", error
            if await second.get("state", "v0") == ["Archived"]:
                await check_restorable(second)
        assert await latest_gid(second) == LAST
        assert LAST in await check_restorable(second)
