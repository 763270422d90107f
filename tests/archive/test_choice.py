from __future__ import annotations

from pathlib import Path

import pytest

from tests.archive.archive_testing import RunningArchive, content
from tests.archive.history import image_at, make_history
from walbd.model.error import Refused


@pytest.fixture
async def history(archive: RunningArchive) -> RunningArchive:
    await make_history(archive)
    return archive


@pytest.mark.parametrize("is_waiting", [True, False])
@pytest.mark.parametrize("moment, gid", [("22:13:21", 1), ("22:13:24", 4), ("23:59:59", 5)])
async def test_a_time_means_the_newest_snapshot_not_after_it_and_the_user_is_told(
    history: RunningArchive, moment: str, gid: int, is_waiting: bool
) -> None:
    told = await history.call("restore", "v0", f"@2023-11-14T{moment}", wait=is_waiting)
    assert told == [f"{gid} 2023-11-14T22:13:2{gid}"]
    await history.until(lambda: history.daemon.volumes.get("v0").actions.count("Restore") == 0)
    (path,) = await history.get("restored-path", "v0", str(gid))
    assert content(Path(path)) == image_at(gid)


async def test_a_time_before_the_first_snapshot_names_the_oldest(history: RunningArchive) -> None:
    with pytest.raises(Refused, match="no restorable snapshot at 2023-11-14T22:13:20:v0") as caught:
        await history.call("restore", "v0", "@2023-11-14T22:13:20")
    assert "the oldest is gid 1 of 2023-11-14T22:13:21" in caught.value.hint


@pytest.mark.parametrize("moment", ["@", "@yesterday", "@2023-11-14", "@2023-13-14T22:13:20"])
async def test_what_is_no_time_is_refused(history: RunningArchive, moment: str) -> None:
    with pytest.raises(Refused, match="bad time"):
        await history.call("restore", "v0", moment)


@pytest.mark.parametrize("gid, nearest", [("3", "2 and 5"), ("0", "2"), ("77", "5")])
async def test_a_gid_that_is_no_snapshot_names_the_nearest(history: RunningArchive, gid: str, nearest: str) -> None:
    await history.call("merge", "v0", "0", "gid", "2")
    await history.call("merge", "v0", "2", "gid", "5")
    with pytest.raises(Refused, match=f"bad gid to restore:v0:{gid}") as caught:
        await history.call("restore", "v0", gid)
    assert f"the nearest that can be restored: {nearest};" in caught.value.hint
