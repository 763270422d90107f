from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.archive.archive_testing import RunningArchive, clean_diff, content, names, running_archive
from tests.archive.history import LAST, check_restorable, image_at, make_history
from tests.archive.packs import Write
from walbd.archive import apply as apply_module
from walbd.model.error import Refused, StorageFailure
from walbd.net.wdiff_transfer import Answer


class Gate:
    """Holds an apply after its first part was written until opened; or lets it fail there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()
        self.fails = False
        self._apply = apply_module.apply_wdiffs
        monkeypatch.setattr(apply_module, "apply_wdiffs", self._held)

    def _held(self, fd: int, size_lb: int, paths: list[Path], discard: Any, cancelled: Any, progress: Any) -> None:
        self._apply(fd, size_lb, paths[:1], discard, cancelled, progress)
        self.reached.set()
        while not self.opened.wait(0.01) and not cancelled():
            pass
        if self.fails:
            raise StorageFailure("the disk fails")
        self._apply(fd, size_lb, paths, discard, cancelled, progress)


@pytest.fixture
async def history(archive: RunningArchive) -> RunningArchive:
    await make_history(archive)
    return archive


async def test_the_base_becomes_the_snapshot_and_what_it_took_in_is_removed(history: RunningArchive) -> None:
    await history.call("apply", "v0", "3")
    assert await history.get("base", "v0") == ["<|3|>-20231114221323"]
    assert content(history.base / "v0/wb_v0") == image_at(3)
    assert [line.split()[0] for line in await history.get("diff", "v0")] == ["|3|-->|4|", "|4|-->|5|"]
    assert len(names(history.base / "v0", "*.wdiff")) == 2
    assert await check_restorable(history) == [3, 4, 5]


async def test_a_gid_between_snapshots_means_the_last_before_it(history: RunningArchive) -> None:
    await history.call("merge", "v0", "2", "gid", "4")
    await history.call("apply", "v0", "3")
    assert await history.get("base", "v0") == ["<|2|>-20231114221322"]
    assert await check_restorable(history) == [2, 4, 5]


async def test_the_result_survives_a_restart(base: Path) -> None:
    async with running_archive(base) as archive:
        await archive.call("init-vol", "v0")
        await make_history(archive)
        await archive.call("apply", "v0", "2")
    async with running_archive(base) as archive:
        assert await check_restorable(archive) == [2, 3, 4, 5]


async def test_many_steps_give_the_same_as_one(base: Path) -> None:
    async with running_archive(base, max_open=1) as archive:
        await archive.call("init-vol", "v0")
        await make_history(archive)
        await archive.call("apply", "v0", str(LAST))
        assert content(base / "v0/wb_v0") == image_at(LAST)
        assert await archive.get("num-diff", "v0") == ["0"]


async def test_nothing_to_apply_is_refused_at_once(history: RunningArchive) -> None:
    with pytest.raises(Refused, match=r"gid not applicable:v0:0:<\|0,1\|>"):
        await history.call("apply", "v0", "0", wait=False)


async def test_diffs_arrive_and_restores_run_while_an_apply_runs(
    history: RunningArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    applying = asyncio.create_task(history.call("apply", "v0", "3"))
    await asyncio.to_thread(gate.reached.wait, 20)
    assert await history.get("num-action", "v0", "Apply") == ["1"]
    assert (await history.get("base", "v0"))[0].startswith("<|0,1|-->|3|>")
    assert await history.offer(clean_diff(5, 6), [Write(0, b"z" * 512)]) is Answer.ACCEPT
    # The base is a mixture of gids 0 and 3 now.
    assert await history.restored_content(4) == image_at(4)
    assert await history.scan(3) == image_at(3)
    with pytest.raises(Refused, match="bad gid to restore:v0:2"):
        await history.call("restore", "v0", "2")
    gate.opened.set()
    await applying
    assert content(history.base / "v0/wb_v0") == image_at(3)
    assert await history.restored_content(5) == image_at(5)


async def test_wdiffs_that_are_being_read_go_when_the_reader_has_ended(
    history: RunningArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    applying = asyncio.create_task(history.call("apply", "v0", "3"))
    await asyncio.to_thread(gate.reached.wait, 20)
    volume = history.daemon.volumes.get("v0")
    diffs = list(volume.content.diffs)
    async with volume.reading("a test", 5, diffs):
        gate.opened.set()
        await applying
        assert len(names(history.base / "v0", "*.wdiff")) == LAST
        assert await history.get("num-diff", "v0") == ["2"]
    assert len(names(history.base / "v0", "*.wdiff")) == 2


async def test_an_apply_beyond_what_is_being_read_is_refused(history: RunningArchive) -> None:
    volume = history.daemon.volumes.get("v0")
    async with volume.reading("bhash", 2, list(volume.content.diffs)[:2]):
        with pytest.raises(Refused, match="bhash of v0:2 is running, apply up to 3 would disturb it"):
            await history.call("apply", "v0", "3")
        await history.call("apply", "v0", "2")
    await history.call("apply", "v0", "3")
    assert content(history.base / "v0/wb_v0") == image_at(3)


@pytest.mark.parametrize(
    "command",
    [("apply", "v0", "3"), ("merge", "v0", "3", "gid", "5"), ("gc-diff", "v0"), ("enable-snapshot", "v0", "4")],
)
async def test_what_would_disturb_a_running_apply_is_refused(
    history: RunningArchive, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    gate = Gate(monkeypatch)
    applying = asyncio.create_task(history.call("apply", "v0", "3"))
    await asyncio.to_thread(gate.reached.wait, 20)
    with pytest.raises(Refused, match="there are running action:Apply:1"):
        await history.call(*command)
    gate.opened.set()
    await applying


async def test_a_half_applied_base_serves_and_is_completed_by_the_next_apply(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_archive(base) as archive:
        await archive.call("init-vol", "v0")
        await make_history(archive)
        with monkeypatch.context() as patch:
            gate = Gate(patch)
            gate.fails = True
            gate.opened.set()
            with pytest.raises(Refused, match="the disk fails"):
                await archive.call("apply", "v0", "3")
        (line,) = [line for line in await archive.get("last-result", "v0") if "kind:apply" in line]
        assert "result:apply:v0:3:the disk fails" in line
        assert await check_restorable(archive) == [3, 4, 5]
        with pytest.raises(Refused, match="half applied"):
            await archive.call("merge", "v0", "3", "gid", "5")
    async with running_archive(base) as archive:
        assert await check_restorable(archive) == [3, 4, 5]
        await archive.call("apply", "v0", "1")
        assert await archive.get("base", "v0") == ["<|3|>-20231114221323"]
        assert content(base / "v0/wb_v0") == image_at(3)


async def test_a_forced_stop_ends_an_apply_which_goes_on_later(
    history: RunningArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        gate = Gate(patch)
        applying = asyncio.create_task(history.call("apply", "v0", "4"))
        await asyncio.to_thread(gate.reached.wait, 20)
        await history.call("stop", "v0", "force")
        with pytest.raises(Refused):
            await applying
    await history.call("start", "v0")
    assert await check_restorable(history) == [4, 5]
    await history.call("apply", "v0", "4")
    assert content(history.base / "v0/wb_v0") == image_at(4)
