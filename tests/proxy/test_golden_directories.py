"""Base directories of the reference are taken over in place."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tests.golden_directories import files_of, golden_cases, unpack
from tests.group_testing import FakeArchive, running_daemon, until
from walbd.proxy.main import ProxyDaemon
from walbd.proxy.options import ProxySettings
from walbd.world.world import World

if TYPE_CHECKING:
    from tests.conftest import Vectors

AGE = re.compile(r"(wdiffSendDelayMeasured) \d+")


def settings(base: Path) -> ProxySettings:
    return ProxySettings(
        port=0, bind="127.0.0.1", node_id="proxy0", base_dir=str(base), min_delay_sec=1000, max_delay_sec=1000
    )


def plain(lines: list[str]) -> list[str]:
    """Without indentation, what depends on the moment, and what the reference does not tell."""
    told = [line.strip() for line in lines if not line.startswith("  lastFailure ")]
    idle = [line.replace("action WdiffSend", "action None") for line in told]
    return [AGE.sub(r"\1 N", line).replace("totalNumAction 1", "totalNumAction 0") for line in idle]


async def test_every_directory_is_answered_for_as_by_the_reference(vectors: Vectors, tmp_path: Path) -> None:
    for case in golden_cases(vectors, "proxy"):
        base = unpack(vectors, case, tmp_path / case["name"])
        before = files_of(base)
        async with running_daemon(ProxyDaemon, settings(base), World()) as proxy:
            if not case["reference_at_start"]["starts"]:
                assert await proxy.state("vol0") == "Started"
                continue
            for command, expected in case["answers"].items():
                assert plain(await proxy.call(*command.split())) == plain(expected), (case["name"], command)
        after = files_of(base)
        is_temporary = re.compile(r"(.*/)?tmp.{6}")
        kept = {name for name in before if not is_temporary.fullmatch(name)}
        removed = set(case["reference_at_start"]["removed_at_start"])
        assert kept - removed == set(after) - set(case["reference_at_start"]["added_at_start"]), case["name"]
        assert all(after[name] == before[name] for name in kept & set(after)), case["name"]


async def test_diffs_the_reference_has_queued_are_sent(vectors: Vectors, tmp_path: Path) -> None:
    (case,) = [case for case in golden_cases(vectors, "proxy") if case["name"] == "proxy-queued"]
    base = unpack(vectors, case, tmp_path / "case")
    archive = FakeArchive("a1")
    await archive.start()
    async with running_daemon(ProxyDaemon, settings(base)) as proxy:
        await proxy.call("stop", "vol0")
        await proxy.call("archive-info", "update", "vol0", "archive1", str(archive.address))
        await proxy.call("start", "vol0")
        await until(lambda: len(archive.offers) == 3)
        assert archive.accepted() == ["|0|-->|1|", "|1|-->|4|", "|4|-->|7|"]
        await until(lambda: not list(base.rglob("*.wdiff")))
    await archive.stop()
