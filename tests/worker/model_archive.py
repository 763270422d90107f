"""An archive in memory: what the worker sees of it, and what its tasks do to it."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field

from walbc.library.constants import K_ARCHIVE
from walbc.library.servers import ServerConnectionParam
from walbc.library.values import Diff, MetaState, Snapshot
from walbc.worker.config import Config, ReplServerConfig
from walbc.worker.retention import Restorable
from walbc.worker.tasks import ApplyTask, MergeTask, ReplTask, RetentionTask, Task
from walbc.worker.view import LastBegins

NOW = datetime.datetime(2026, 6, 15, 12, 30)
ARCHIVE = ServerConnectionParam("a0", "h", 1, K_ARCHIVE)
HOUR = datetime.timedelta(hours=1)


def diff(begin: int, end: int, size: int = 100, flags: str = "M-", ts: datetime.datetime = NOW) -> Diff:
    """A clean wdiff."""
    made = Diff(Snapshot(begin, begin), Snapshot(end, end))
    made.isMergeable, made.isCompDiff, made.dataSize, made.ts = flags[0] == "M", flags[1] == "C", size, ts
    return made


@dataclass
class ModelVolume:
    """A chain of wdiffs after a base image."""

    base_gid: int
    base_ts: datetime.datetime
    chain: list[Diff]
    begins: dict[str, datetime.datetime | None] = field(default_factory=dict)
    applying: int | None = None

    def restorable(self) -> list[Restorable]:
        """As `get restorable VOL all`."""
        found = [Restorable(self.base_gid, self.base_ts, False)]
        for index, one in enumerate(self.chain):
            is_last = index + 1 == len(self.chain)
            assert one.ts
            found.append(Restorable(one.E.gidB, one.ts, is_last or not self.chain[index + 1].isMergeable))
        return found


@dataclass
class ModelArchive:
    """View of volumes in memory; `reached`: gids of destinations by (destination, volume)."""

    volumes: dict[str, ModelVolume]
    now: datetime.datetime = NOW
    reached: dict[tuple[str, str], int] = field(default_factory=dict)

    def idle_volumes(self) -> Mapping[str, LastBegins]:
        return {name: volume.begins for name, volume in self.volumes.items()}

    def base(self, vol: str) -> MetaState:
        volume = self.volumes[vol]
        end = None if volume.applying is None else Snapshot(volume.applying, volume.applying)
        return MetaState(Snapshot(volume.base_gid, volume.base_gid), end)

    def restorable(self, vol: str) -> list[Restorable]:
        return self.volumes[vol].restorable()

    def num_diff(self, vol: str) -> int:
        return len(self.volumes[vol].chain)

    def diffs(self, vol: str) -> list[Diff]:
        return self.volumes[vol].chain

    def diff_size_to(self, vol: str, gid: int) -> int:
        return sum(one.dataSize for one in self.volumes[vol].chain if one.E.gidB <= gid)

    def protected_gids(self, vol: str) -> set[int]:
        return {gid for (_, name), gid in self.reached.items() if name == vol}

    def latest_gid(self, vol: str) -> int:
        return self.volumes[vol].restorable()[-1].gid

    def destination_gid(self, server: ReplServerConfig, vol: str) -> int | None:
        return self.reached.get((server.name, vol))

    def carry_out(self, task: Task) -> None:
        """What the archive would do."""
        volume = self.volumes[task.vol]
        if isinstance(task, ApplyTask):
            applied = [one for one in volume.chain if one.E.gidB <= task.gid]
            assert applied and applied[-1].E.gidB == task.gid
            assert applied[-1].ts
            volume.base_gid, volume.base_ts, volume.applying = task.gid, applied[-1].ts, None
            volume.chain = volume.chain[len(applied) :]
            volume.begins["Apply"] = self.now
        elif isinstance(task, MergeTask):
            self._merge(volume, *task.gids)
            volume.begins["Merge"] = self.now
        elif isinstance(task, RetentionTask):
            for one in volume.chain:
                one.isMergeable = one.isMergeable or one.B.gidB in task.gids
        elif isinstance(task, ReplTask):
            self.reached[task.server.name, task.vol] = task.max_gid or self.latest_gid(task.vol)

    @staticmethod
    def _merge(volume: ModelVolume, begin: int, end: int) -> None:
        run = [one for one in volume.chain if begin <= one.B.gidB and one.E.gidB <= end]
        assert len(run) >= 2
        assert all(one.isMergeable for one in run[1:])
        merged = diff(begin, end, sum(one.dataSize for one in run), "M-" if run[0].isMergeable else "--")
        merged.ts = run[-1].ts
        index = volume.chain.index(run[0])
        volume.chain[index : index + len(run)] = [merged]


def config(text: str = "") -> Config:
    """A configuration with what is required, and more."""
    made = Config({"apply": {"keep_period": "3d"}, "merge": {"interval": "1h"}})
    if text:
        made.setStr(text)
    return made
