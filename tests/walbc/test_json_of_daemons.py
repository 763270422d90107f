"""--json against daemons: what they really answer has the documented shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.archive.archive_testing import running_archive
from tests.archive.history import make_history
from tests.group_testing import Running
from tests.proxy.proxy_testing import Surroundings, diff_of
from tests.storage.storage_testing import Group, blocks
from tests.walbc.daemon_testing import walbc
from tests.walbc.test_shapes import QUERIES, check_documented
from walbc.status_shape import PROXY_STATE, QUEUE, QUEUED, RECORD, SETTINGS, VOLUME
from walbc.table import Command

VALUES = {"VOL": "v0", "NAME": "a0", "ARCHIVE": "a0", "ACTION": "Apply", "0|1": "1", "GID": "3"}
VALUES |= {"B0": "0", "B1": "1", "E0": "1", "E1": "1"}
# What needs a volume as it is not in these tests.
LEFT_OUT = {"restored-path"}


async def ask(port: int, *words: str) -> Any:
    (line,) = (await walbc(port, *words, "--json")).lines
    return json.loads(line)


async def ask_everything(port: int, letter: str) -> dict[str, Any]:
    """The answers to all queries that a kind of server knows, by name."""
    found = {}
    for name, row in QUERIES.items():
        if letter in row.kinds and row.name not in LEFT_OUT:
            found[name] = await ask(port, *name.split(), *needed(row))
            check_documented(row.shape, found[name])
    return found


def needed(row: Command) -> list[str]:
    return [VALUES[parameter.name] for parameter in row.parameters if not parameter.is_optional]


def check_members(item: dict[str, Any], fields: Any, *others: str) -> None:
    assert set(item) <= {field.name for field in fields} | set(others), item


async def test_an_archive_answers_every_query_in_its_shape(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    async with running_archive(tmp_path / "base") as archive:
        await archive.call("init-vol", "v0")
        await make_history(archive)
        await archive.call("restore", "v0", "3")
        found = await ask_everything(archive.port, "A")
        assert found["get restored"] == [3]
        assert found["get restorable"] == [
            {"gid": 2, "time": "2023-11-14T22:13:22", "isExplicit": True},
            {"gid": 5, "time": "2023-11-14T22:13:25", "isExplicit": True},
        ]
        status = found["status"]
        assert (status["kind"], status["settings"]["nodeId"]) == ("archive", "a0")
        check_members(status["settings"], SETTINGS)
        (volume,) = status["volumes"]
        check_members(volume, VOLUME)
        assert (volume["volume"], volume["numDiff"], volume["lastSyncTime"][:2]) == ("v0", 5, "20")
        volume = await ask(archive.port, "status", "v0")
        check_members(volume, VOLUME, "kind", "actions")
        assert (volume["numRestored"], volume["actions"]["Restore"]) == (1, 0)
        await archive.call("init-vol", "v1")
        assert (await ask(archive.port, "status"))["volumes"][1]["state"] == "SyncReady"
        assert "sizeLb" not in await ask(archive.port, "status", "v1")
        assert await ask(archive.port, "status", "nope") == {"kind": "archive", "volume": "nope", "state": "Clear"}


async def test_a_storage_answers_every_query_in_its_shape(group: Group) -> None:
    async with group.target() as storage:
        group.device.write(0, blocks(1))
        found = await ask_everything(storage.address.port, "S")
        assert found["get latest-snap"][0]["kind"] == "storage"
        status = found["status"]
        check_members(status["settings"], SETTINGS)
        assert status["proxies"][0]["isAvailable"] is True
        for item in status["proxies"]:
            check_members(item, PROXY_STATE)
        for item in status["taskQueue"]:
            check_members(item, QUEUED)
        check_members(status["volumes"][0], VOLUME)
        assert status["volumes"][0]["logUsagePb"] >= 0
        volume = await ask(storage.address.port, "status", "v0")
        check_members(volume, VOLUME, "kind", "actions", "done", "queue")
        for record in [volume["done"], *volume["queue"]]:
            check_members(record, RECORD)
        assert (volume["isOverflow"], volume["volume"]) == (False, "v0")


async def test_a_proxy_answers_every_query_in_its_shape(around: Surroundings) -> None:
    for archive in around.archives.values():
        await archive.stop()
    async with around.started() as proxy:
        around.device.write(0, blocks(1))
        await around.send(proxy, diff_of(0, 1))
        found = await ask_everything(proxy.address.port, "P")
        assert found["archive-info get"]["delaySec"] == 0
        check_proxy_status(found["status"])
        volume = await ask(proxy.address.port, "status", "v0")
        check_members(volume, VOLUME, "kind", "archives")
        for queue in volume["archives"]:
            check_members(queue, QUEUE)
        assert [queue["archive"] for queue in volume["archives"]] == sorted(around.archives)
        assert await json_lines(proxy, "get", "proxy-diff", "v0", "a0") == [["|0|", "|1|"]]


async def json_lines(proxy: Running[Any], *words: str) -> list[list[str]]:
    return [[diff["begin"], diff["end"]] for diff in await ask(proxy.address.port, *words)]


def check_proxy_status(status: dict[str, Any]) -> None:
    check_members(status["settings"], SETTINGS)
    (volume,) = status["volumes"]
    check_members(volume, VOLUME, "archives")
    for queue in volume["archives"]:
        check_members(queue, QUEUE)
    for item in status["taskQueue"]:
        check_members(item, QUEUED)
