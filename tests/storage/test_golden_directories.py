"""Base directories and log devices of the reference are taken over in place."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.golden_directories import Case, files_of, golden_cases, unpack, unzipped
from tests.group_testing import FakeArchive, FakeProxy, QuickWorld, Running, until
from tests.storage.fake_device import Devices, FakeDevice
from tests.storage.storage_testing import Group, volume_of
from walbd.model.error import Refused
from walbd.storage.main import StorageDaemon
from walbd.world.world import World

if TYPE_CHECKING:
    from tests.conftest import Vectors

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
# The emulated driver of the golden data reported another size than its log device has.
CAPACITY = re.compile(r"(capacity_pb:|logCapacityPb )\d+")


@pytest.fixture
async def peers() -> AsyncIterator[tuple[FakeProxy, FakeArchive]]:
    proxy, archive = FakeProxy(), FakeArchive()
    await proxy.start()
    await archive.start()
    yield proxy, archive
    await proxy.stop()
    await archive.stop()


def take_over(
    vectors: Vectors, case: Case, folder: Path, peers: tuple[FakeProxy, FakeArchive], patch: pytest.MonkeyPatch
) -> Group:
    """The case's directory, and its devices in the state that is told of them."""
    folder.mkdir()
    devices = Devices({})
    for name, told in case["devices"].items():
        for kind in ("log", "data"):
            image = folder / f"{name}.{kind}"
            image.write_bytes(unzipped(vectors("basedirs", told[f"{kind}_device"]["file"])))
        device = FakeDevice(folder, name, size_lb=2048)
        device.oldest, device.latest, device.permanent = (
            told["oldest_lsid"],
            told["latest_lsid"],
            told["permanent_lsid"],
        )
        device.written_back, device.is_overflow = told["latest_lsid"], told["overflow"]
        devices.by_name[name] = device
    patch.setattr("walbd.storage.volume.resolve_device", devices.resolve)
    return Group(unpack(vectors, case, folder), devices, *peers)


@asynccontextmanager
async def without_peers(group: Group) -> AsyncIterator[Running[StorageDaemon]]:
    await group.proxy.stop()
    try:
        async with group.storage(World(), min_delay_sec=1000, max_delay_sec=1000) as storage:
            yield storage
    finally:
        await group.proxy.start()


async def answer(storage: Running[StorageDaemon], command: str) -> object:
    try:
        return await storage.call(*command.split())
    except Refused as error:
        return error.message


async def test_every_directory_is_answered_for_as_by_the_reference(
    vectors: Vectors, tmp_path: Path, peers: tuple[FakeProxy, FakeArchive], monkeypatch: pytest.MonkeyPatch
) -> None:
    for case in golden_cases(vectors, "storage"):
        group = take_over(vectors, case, tmp_path / case["name"], peers, monkeypatch)
        before = files_of(group.base)
        async with without_peers(group) as storage:
            if not case["reference_at_start"]["starts"]:
                assert sorted(await storage.get("vol")) == sorted(case["volumes"])
                assert "Failed" in [await storage.state(name) for name in case["volumes"]]
                continue
            is_sending = case["volumes"]["vol0"]["state"] == "Target" and group.devices.by_name["vol0"].latest
            if is_sending and case["name"] != "storage-target-sent":
                await until(lambda: storage.has_logged("There is no available proxy"))
            for command, expected in case["answers"].items():
                given = await answer(storage, command)
                if isinstance(expected, dict):
                    assert expected["error"].endswith(str(given)), (case["name"], command)
                else:
                    assert isinstance(given, list)
                    assert plain(given) == plain(expected), (case["name"], command)
        after = files_of(group.base)
        changed = {name for name in before if after.get(name) != before[name]}
        assert changed <= set(case["reference_at_start"]["changed_at_start"]) | {"vol0/queue"}, case["name"]
        assert set(after) == set(before), case["name"]


def plain(lines: list[str]) -> list[str]:
    """Without what depends on the moment, and what the reference does not tell."""
    told = [line for line in lines if not line.startswith("lastFailure ")]
    return [CAPACITY.sub(r"\1N", TIME.sub("TIME", line)) for line in told]


async def test_the_log_of_a_running_group_is_shipped_from_where_the_reference_was(
    vectors: Vectors, tmp_path: Path, peers: tuple[FakeProxy, FakeArchive], monkeypatch: pytest.MonkeyPatch
) -> None:
    for case in golden_cases(vectors, "storage"):
        if case["name"] not in ("storage-target-running", "storage-killed"):
            continue
        group = take_over(vectors, case, tmp_path / case["name"], peers, monkeypatch)
        group.proxy.received.clear()
        device = group.devices.by_name["vol0"]
        async with group.storage(QuickWorld()) as storage:
            records = volume_of(storage, "vol0").records
            explicit = [record.gid for record in records.queue if not record.is_mergeable]
            await until(lambda: records.done.lsid == device.latest and not records.queue)  # noqa: B023
            await until(lambda: device.oldest == 89)  # noqa: B023
        diffs = [received.diff for received in group.proxy.received]
        assert diffs[0].begin.gid_begin == 0
        assert [b.begin for b in diffs[1:]] == [a.end for a in diffs[:-1]]
        assert set(explicit) <= {diff.end.gid_begin for diff in diffs}
        assert sum(len(received.data) for received in group.proxy.received) == 89 * 512


async def test_the_next_start_finds_what_this_one_has_left(
    vectors: Vectors, tmp_path: Path, peers: tuple[FakeProxy, FakeArchive], monkeypatch: pytest.MonkeyPatch
) -> None:
    (case,) = [case for case in golden_cases(vectors, "storage") if case["name"] == "storage-stopped"]
    group = take_over(vectors, case, tmp_path / "case", peers, monkeypatch)
    async with without_peers(group) as storage:
        (gid,) = await storage.call("snapshot", "vol0")
        before = await storage.call("status", "vol0")
    async with without_peers(group) as storage:
        assert await storage.call("status", "vol0") == before
        assert volume_of(storage, "vol0").records.newest.gid == int(gid) == 11
