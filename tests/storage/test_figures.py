"""Lag, log that is left, progress; resize and the dump of a log pack header."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from tests.group_testing import FakeArchive, QuickWorld, until
from tests.storage.storage_testing import Group, blocks, volume_of
from walbd.model.error import Refused
from walbd.net.control import ControlRequest, call
from walbd.net.control_reply import Outcome
from walbd.storage.log_usage import LogUsage


def test_a_log_that_fills_overflows_when_the_rest_is_full_too() -> None:
    usage = LogUsage()
    for second in range(100):
        usage.note(second, 10 * second)
    assert usage.seconds_left(100, 1000, 2000) == pytest.approx(100)
    assert usage.seconds_left(100, 2500, 2000) == 0
    assert usage.seconds_left(100, 100, 2000) is None
    assert LogUsage().seconds_left(100, 1000, 2000) is None


def test_a_burst_is_no_forecast() -> None:
    usage = LogUsage()
    for second in range(60):
        usage.note(second, 0 if second < 58 else 900)
    assert usage.seconds_left(60, 1000, 2000) is None
    fresh = LogUsage()
    for second in range(5):
        fresh.note(second, 100 * second)
    assert fresh.seconds_left(5, 500, 2000) is None


def test_checkpoints_of_a_steady_load_are_no_growth() -> None:
    usage = LogUsage()
    for second in range(200):
        level = 50 * (second % 10)
        if second > 60:
            assert usage.seconds_left(second, level, 2000) is None
        usage.note(second, level)


async def test_the_time_until_the_overflow_follows_the_log(group: Group) -> None:
    async with group.target(max_delay_sec=1) as storage:
        assert await storage.get("overflow-eta", "v0") == ["never"]
        await group.proxy.stop()
        for number in range(1, 5):
            group.device.write(0, blocks(number))
            await until(lambda: volume_of(storage).monitor.usage._samples[-1][1] == group.device.latest)
        await until(lambda: storage.world.monotonic() > volume_of(storage).monitor.usage._samples[0][0] + 21)
        ((left,), info) = await storage.get("overflow-eta", "v0"), await group.device.info()
        assert 0 < int(left) < 60 * info.ring_size_pb
        group.device.is_overflow = True
        assert await storage.get("overflow-eta", "v0") == ["0"]


class KnowingArchive(FakeArchive):
    """Answers `get latest-snap` with `latest`."""

    latest: tuple[str, ...] | None = ()

    async def _get(self, request: ControlRequest) -> list[str]:
        if request.params != ["latest-snap"]:
            return await super()._get(request)
        if self.latest is None:
            raise Refused("not now")
        return list(self.latest)


async def test_the_lag_of_the_archive_is_known_and_kept_when_it_does_not_answer(group: Group) -> None:
    archive = KnowingArchive("a7")
    await archive.start()
    async with group.target(archive=archive.address, ts_delta_interval_sec=1) as storage:
        (gid,) = await storage.call("snapshot", "v0")
        await until(lambda: any("dest_gid:\t" in line for line in storage.daemon.ts_deltas.lines()))
        (line,) = await storage.get("ts-delta")
        assert line.startswith("name:v0\tdest:a7\tkind:storage\tdest_kind:archive\tgid:")
        assert line.endswith("\tdest_ts:\tdest_gid:\tts_delta:")
        archive.latest = (
            "name:v0\tkind:archive\tgid:1\ttimestamp:2023-11-14T22:13:20",
            "name:v9\tkind:archive\tgid:x\ttimestamp:---",
            "nonsense",
        )
        await until(lambda: any("dest_gid:1\t" in line for line in storage.daemon.ts_deltas.lines()))
        (line,) = await storage.get("ts-delta")
        fields = dict(field.split(":", 1) for field in line.split("\t"))
        newest = volume_of(storage).records.newest
        assert (fields["gid"], fields["dest_ts"]) == (gid, "2023-11-14T22:13:20")
        assert int(fields["ts_delta"]) == newest.timestamp - 1_700_000_000
        archive.latest = None
        await until(lambda: storage.has_logged("WARNING ts-delta"))
        assert await storage.get("ts-delta") == [line]
    await archive.stop()


async def test_a_defect_in_one_round_does_not_end_the_gathering_of_lags(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = 0

    async def defect_once(*args: Any, **kwargs: Any) -> Outcome:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            raise ValueError("not expected")
        return await call(*args, **kwargs)

    monkeypatch.setattr("walbd.storage.ts_delta.call", defect_once)
    async with group.target(ts_delta_interval_sec=1) as storage:
        await until(lambda: storage.has_logged("ERROR ts-delta"))
        await until(storage.daemon.ts_deltas.lines)


async def test_progress_counts_what_a_backup_has_sent(group: Group) -> None:
    async with group.storage(QuickWorld(speed=10)) as storage:
        await storage.call("init-vol", "v0", "w0")
        assert await storage.get("progress", "v0") == ["0"]
        await storage.call("set-full-scan-bps", "16k")
        backup = asyncio.create_task(storage.call("full-bkp", "v0", "4k"))
        await until(lambda: any(work.done for work in storage.daemon.works.running("v0")))
        assert 0 < int((await storage.get("progress", "v0"))[0]) <= group.device.size_lb
        await storage.call("set-full-scan-bps", "0")
        await backup
        assert await storage.get("progress", "v0") == ["0"]


async def test_a_device_grows_and_never_shrinks(group: Group) -> None:
    async with group.target() as storage:
        size_lb = group.device.size_lb
        await storage.call("resize", "v0", str(size_lb * 512))
        with pytest.raises(Refused, match=f"shrink is not supported:{size_lb}:{size_lb - 1}"):
            await storage.call("resize", "v0", str((size_lb - 1) * 512))
        os.truncate(group.device.data_path, 2 * size_lb * 512)
        await storage.call("resize", "v0", "0")
        assert group.device.size_lb == 2 * size_lb
        group.device.write(0, blocks(1))
        await group.wait_sent(storage)
        assert group.proxy.received[-1].request.size_lb == 2 * size_lb


async def test_a_log_pack_header_is_dumped(group: Group) -> None:
    async with group.target() as storage:
        group.device.write(0, blocks(1))
        (path,) = await storage.call("dbg-dump-logpack-header", "v0", "0")
        block = (group.base / "v0" / "logpackheader-0").read_bytes()
        sector = group.device.super_sector
        where = sector.ring_offset_pb * 512
        assert path == str(group.base / "v0" / "logpackheader-0")
        assert block == group.device.log_path.read_bytes()[where : where + 512]
        with pytest.raises(Refused, match="lsid"):
            await storage.call("dbg-dump-logpack-header", "v0", str((1 << 64) - 1))
        with pytest.raises(Refused):
            await storage.call("dbg-dump-logpack-header", "v9", "0")
