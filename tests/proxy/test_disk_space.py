"""The file system of a proxy fills: an alarm comes first, then logs are refused, and nothing that waits is lost."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from tests.group_testing import until
from tests.proxy.proxy_testing import Surroundings, diff_of, queued
from walbd.model.error import Refused
from walbd.proxy.disk_space import Space, space_of

MIB = 1 << 20


@pytest.mark.parametrize(
    ("free_mib", "total_mib", "reserve_mib", "is_alarm"),
    [(101, 1000, 50, False), (99, 1000, 50, True), (21 << 10, 1 << 20, 1024, False), (19 << 10, 1 << 20, 1024, True)],
)
def test_an_alarm_comes_long_before_the_reserve(
    free_mib: int, total_mib: int, reserve_mib: int, is_alarm: bool
) -> None:
    space = Space(free_mib * MIB, total_mib * MIB)
    assert (space.reserve_bytes // MIB, space.is_alarm) == (reserve_mib, is_alarm)


async def test_a_disk_that_fills_and_empties(around: Surroundings, monkeypatch: pytest.MonkeyPatch) -> None:
    space = space_of(around.base.parent)
    monkeypatch.setattr("walbd.proxy.disk_space.space_of", lambda _: space)
    space = Space(500 * MIB, 1000 * MIB)
    async with around.started() as proxy:
        for archive in around.archives.values():
            await archive.stop()
        assert "diskSpace free 500m total 1000m reserve 50m alarm 0" in await proxy.call("status")
        await around.send(proxy, diff_of(0, 1))
        space = Space(80 * MIB, 1000 * MIB)
        await until(lambda: proxy.has_logged("ERROR disk space is low"))
        assert "diskSpace free 80m total 1000m reserve 50m alarm 1" in await proxy.call("status")
        (line,) = await proxy.get("disk-space")
        assert line == f"free_bytes:{80 * MIB}\ttotal_bytes:{1000 * MIB}\treserve_bytes:{50 * MIB}\talarm:1"
        await around.send(proxy, diff_of(1, 2))
        space = Space(50 * MIB, 1000 * MIB)
        with pytest.raises(Refused, match="Not enough available disk space:0:1"):
            await around.send(proxy, diff_of(2, 3))
        for archive in around.archives.values():
            await archive.start()
        await proxy.call("kick")
        await until(lambda: not queued(proxy, "a0") and not queued(proxy, "a1"))
        space = Space(500 * MIB, 1000 * MIB)
        await until(lambda: proxy.has_logged("INFO disk space is no longer low"))
        await around.send(proxy, diff_of(2, 3))
        await until(lambda: around.archives["a1"].accepted()[-1].endswith("|3|"))


async def test_a_disk_that_cannot_be_examined_is_an_alarm_and_hides_nothing_else(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with around.started() as proxy:
        before = await proxy.call("status")
        with monkeypatch.context() as patch:
            patch.setattr("walbd.proxy.disk_space.os.statvfs", lambda _: os.stat(around.base / "none"))
            lines = await proxy.call("status")
        told = f"diskSpace unknown (cannot examine {around.base}: No such file or directory) alarm 1"
        assert lines == [told if line.startswith("diskSpace") else line for line in before]


async def test_a_disk_that_hangs_is_an_alarm_and_hides_nothing_else(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it is asked, and log is taken again when it goes on."""
    released, looks = threading.Event(), []

    def hang(path: Path) -> Space:
        looks.append(path)
        released.wait(20)
        return space_of(path)

    async with around.started() as proxy:
        before = await proxy.call("status")
        monkeypatch.setattr("walbd.proxy.disk_space.ANSWER_SEC", 0.05)
        monkeypatch.setattr("walbd.proxy.disk_space.space_of", hang)
        await until(lambda: looks)
        try:
            for _ in range(3):
                async with asyncio.timeout(2):
                    lines = await proxy.call("status")
                assert [line for line in lines if not line.startswith("diskSpace")] == [
                    line for line in before if not line.startswith("diskSpace")
                ]
                assert "diskSpace unknown (no answer) alarm 1" in lines
            assert len(looks) == 1
        finally:
            released.set()
        await around.send(proxy, diff_of(0, 1))


async def test_a_defect_in_one_look_does_not_end_the_watch(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Path] = []

    def space(path: Path) -> Space:
        looks.append(path)
        if len(looks) == 1:
            raise ValueError("not expected")
        return Space(80 * MIB, 1000 * MIB)

    monkeypatch.setattr("walbd.proxy.disk_space.space_of", space)
    async with around.proxy() as proxy:
        await until(lambda: proxy.has_logged("ERROR disk space is low"))
        assert proxy.has_logged("ERROR disk space:internal error: ValueError")


async def test_the_size_told_to_archives_can_be_set_while_stopped(around: Surroundings) -> None:
    async with around.started() as proxy:
        with pytest.raises(Refused, match="bad state"):
            await proxy.call("resize", "v0", "1m")
        await proxy.call("stop", "v0")
        await proxy.call("resize", "v0", "1m")
        assert "sizeLb 2048" in await proxy.call("status", "v0")
    async with around.proxy() as proxy:
        assert "sizeLb 2048" in await proxy.call("status", "v0")


async def test_a_damaged_wdiff_names_the_way_out(around: Surroundings) -> None:
    async with around.started() as proxy:
        for archive in around.archives.values():
            await archive.stop()
        await around.send(proxy, diff_of(0, 1))
        for name in ("a0", "a1"):
            (path,) = (around.base / "v0" / "sendto" / name).glob("*.wdiff")
            path.write_bytes(b"\xff" * 8192)
        for archive in around.archives.values():
            await archive.start()
        await proxy.call("kick")
        await until(lambda: proxy.has_logged("remove that file from"))
        assert any("lastFailure" in line and "hash backup" in line for line in await proxy.call("status", "v0"))
        await proxy.call("stop", "v0")
        for name in ("a0", "a1"):
            next((around.base / "v0" / "sendto" / name).glob("*.wdiff")).unlink()
        await proxy.call("start", "v0")
        await around.send(proxy, diff_of(1, 2))
        await until(lambda: around.archives["a0"].accepted() == ["|1|-->|2|"])
