from __future__ import annotations

from pathlib import Path

import pytest

from tests.archive.archive_testing import RunningArchive, clean_diff, content, running_archive
from tests.archive.history import IMAGE, LAST, check_restorable, image_at, make_history
from tests.archive.packs import Write
from walbd.model.error import Refused
from walbd.net.wdiff_transfer import Answer

GROWN = bytes(64 << 10)


@pytest.fixture
async def history(archive: RunningArchive) -> RunningArchive:
    await make_history(archive)
    return archive


@pytest.mark.parametrize("parameters", [(), ("zeroclear",)])
async def test_a_volume_grows_by_zeros(history: RunningArchive, parameters: tuple[str, ...]) -> None:
    await history.call("resize", "v0", "128K", *parameters)
    assert await history.get("vol-size", "v0") == [str(256)]
    assert await history.restored_content(3) == image_at(3) + GROWN
    written = [Write(255, b"n" * 512)]
    assert await history.offer(clean_diff(LAST, LAST + 1), written, size_lb=256) is Answer.ACCEPT
    assert await history.scan(LAST + 1) == image_at(LAST) + GROWN[512:] + b"n" * 512


async def test_a_wdiff_of_a_grown_device_grows_the_base_where_that_is_wanted(base: Path) -> None:
    written = [Write(255, b"n" * 512)]
    async with running_archive(base, auto_resize=True) as archive:
        await archive.call("init-vol", "v0")
        await make_history(archive)
        assert await archive.offer(clean_diff(LAST, LAST + 1), written, size_lb=256) is Answer.ACCEPT
        assert await archive.restored_content(LAST + 1) == image_at(LAST) + GROWN[512:] + b"n" * 512


async def test_a_wdiff_of_a_grown_device_waits_for_resize_otherwise(history: RunningArchive) -> None:
    diff = clean_diff(LAST, LAST + 1)
    assert await history.offer(diff, [Write(255, b"n" * 512)], size_lb=256) is Answer.SMALLER_LV_SIZE
    await history.call("resize", "v0", "128K")
    assert await history.offer(diff, [Write(255, b"n" * 512)], size_lb=256) is Answer.ACCEPT


async def test_the_size_survives_a_restart(base: Path) -> None:
    async with running_archive(base) as archive:
        await archive.call("init-vol", "v0")
        await make_history(archive)
        await archive.call("resize", "v0", "128K")
    async with running_archive(base) as archive:
        await archive.call("apply", "v0", str(LAST))
        assert content(base / "v0/wb_v0") == image_at(LAST) + GROWN


async def test_the_same_size_is_fine_and_a_smaller_one_is_refused(history: RunningArchive) -> None:
    await history.call("resize", "v0", "64K")
    with pytest.raises(Refused, match=r"You tried to shrink the volume: .*wb_v0"):
        await history.call("resize", "v0", "32K")
    assert await check_restorable(history) == list(range(1, LAST + 1))


@pytest.mark.parametrize("parameters", [("128K", "zero"), ("0",), ("x",), ("17E",)])
async def test_parameters_that_mean_nothing_are_refused(history: RunningArchive, parameters: tuple[str, ...]) -> None:
    with pytest.raises(Refused):
        await history.call("resize", "v0", *parameters)
    assert len(content(history.base / "v0/wb_v0")) == len(IMAGE)


async def test_a_volume_without_image_cannot_grow(archive: RunningArchive) -> None:
    with pytest.raises(Refused, match="base image does not exist:v0"):
        await archive.call("resize", "v0", "128K")
