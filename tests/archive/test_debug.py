from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.archive.archive_testing import RunningArchive, clean_diff, running_archive
from tests.archive.history import LAST, check_restorable, make_history
from walbd.model.error import Refused
from walbd.net.wdiff_transfer import Answer

OTHER = "0f" * 16


@pytest.fixture
async def history(base: Path) -> AsyncIterator[RunningArchive]:
    async with running_archive(base, allow_debug=True) as archive:
        await archive.call("init-vol", "v0")
        await make_history(archive)
        yield archive


async def test_dbg_commands_need_the_flag(archive: RunningArchive) -> None:
    for command in (("dbg-reload-metadata", "v0"), ("dbg-set-uuid", "v0", OTHER), ("dbg-set-state", "v0", "Stopped")):
        with pytest.raises(Refused, match="dbg commands are disabled"):
            await archive.call(*command)


async def test_reload_takes_the_folder_as_it_is_now(history: RunningArchive) -> None:
    (last,) = (path for path in (history.base / "v0").glob("*.wdiff") if f"-{LAST - 1}-{LAST}" in path.name)
    last.rename(history.base.parent / last.name)
    await history.call("dbg-reload-metadata", "v0")
    assert await check_restorable(history) == list(range(1, LAST))
    (history.base.parent / last.name).rename(last)
    await history.call("dbg-reload-metadata", "v0")
    assert await check_restorable(history) == list(range(1, LAST + 1))


async def test_reload_brings_a_failed_volume_back_once_it_is_repaired(history: RunningArchive) -> None:
    image = history.base / "v0/wb_v0"
    image.rename(history.base.parent / "image")
    with pytest.raises(Refused, match="v0"):
        await history.call("dbg-reload-metadata", "v0")
    with pytest.raises(Refused):
        await history.call("restore", "v0", "1")
    (history.base.parent / "image").rename(image)
    await history.call("dbg-reload-metadata", "v0")
    assert await check_restorable(history) == list(range(1, LAST + 1))


async def test_a_uuid_that_was_set_decides_which_diffs_are_taken(history: RunningArchive) -> None:
    await history.call("dbg-set-uuid", "v0", OTHER)
    assert await history.get("uuid", "v0") == [OTHER]
    assert await history.offer(clean_diff(LAST, LAST + 1), []) is Answer.DIFFERENT_UUID
    assert await history.offer(clean_diff(LAST, LAST + 1), [], uuid=bytes.fromhex(OTHER)) is Answer.ACCEPT


async def test_a_base_that_was_set_decides_what_is_restorable(history: RunningArchive) -> None:
    await history.call("dbg-set-base", "v0", "<|2|>-20231114221322")
    assert await history.get("base", "v0") == ["<|2|>-20231114221322"]
    gids = [line.split()[0] for line in await history.get("restorable", "v0", "all")]
    assert gids == ["2", "3", "4", "5"]


async def test_a_state_is_set_and_a_passing_one_is_refused(history: RunningArchive) -> None:
    await history.call("dbg-set-state", "v0", "Stopped")
    assert await history.get("state", "v0") == ["Stopped"]
    await history.call("start", "v0")
    with pytest.raises(Refused, match="bad state:v0:FullSync"):
        await history.call("dbg-set-state", "v0", "FullSync")
    assert await check_restorable(history) == list(range(1, LAST + 1))
