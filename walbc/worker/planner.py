"""What is due next (python-library.md section 12.3). Pure, given a View: nothing is changed here.

The first step that yields a task wins; `plan_all` goes on with the other volumes.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from walbc.library.servers import ServerConnectionParam
from walbc.library.states import aaApply, aaMerge
from walbc.worker.config import Config, ReplServerConfig
from walbc.worker.merge_range import choose_merge_range
from walbc.worker.retention import plan_retention
from walbc.worker.send_gid import choose_send_gid
from walbc.worker.tasks import ApplyTask, MergeTask, ReplTask, RetentionTask, Task
from walbc.worker.view import LastBegins, View

ALL_STEPS = 0
ReplicationKey = tuple[str, str]
"""(volume, destination)."""


@dataclass
class Planner:
    """`last_replications`: when each began last, by (volume, destination). `may_replicate` is false while as many
    replications run as may. `step`: 1..5 for that step of the reference alone, 0 for all and the retention rules."""

    config: Config
    archive: ServerConnectionParam
    last_replications: Mapping[ReplicationKey, datetime.datetime] = field(default_factory=dict)
    may_replicate: bool = True
    step: int = ALL_STEPS

    def plan(self, view: View, without: frozenset[str] = frozenset()) -> tuple[str, Task] | None:
        """The next task and the name of its step; volumes in `without` are left alone."""
        volumes = {vol: begins for vol, begins in view.idle_volumes().items() if vol not in without}
        for number, name, select in self._steps():
            if self.step in (ALL_STEPS, number):
                task = select(view, volumes)
                if task:
                    return name, task
        return None

    def plan_all(self, view: View) -> Iterator[tuple[str, Task]]:
        """One task for each volume that needs one."""
        done: frozenset[str] = frozenset()
        while chosen := self.plan(view, done):
            yield chosen
            done |= {chosen[1].vol}

    def _steps(self) -> Iterator[tuple[int, str, Callable[[View, Mapping[str, LastBegins]], Task | None]]]:
        yield 1, "selectApplyTask1", self._finish_apply
        yield -1, "selectRetentionTask", self._retain
        yield 2, "selectApplyTask2", self._apply
        yield 3, "selectMergeTask1", self._merge_many
        yield 4, "selectReplTask", self._replicate
        yield 5, "selectMergeTask2", self._merge_some

    # ---- apply ----

    def _finish_apply(self, view: View, volumes: Mapping[str, LastBegins]) -> Task | None:
        for vol in volumes:
            end = view.base(vol).E
            if end is not None:
                return ApplyTask(vol, self.archive, "an apply was interrupted", end.gidB)
        return None

    def _apply(self, view: View, volumes: Mapping[str, LastBegins]) -> Task | None:
        interval = self.config.apply_.interval
        due = [vol for vol, begins in volumes.items() if _is_due(begins.get(aaApply), interval, view.now)]
        chosen = [(vol, gid) for vol in due if (gid := self._apply_gid(view, vol)) is not None]
        if not chosen:
            return None
        vol, gid = max(chosen, key=lambda one: view.diff_size_to(*one))
        reason = f"snapshots before it are older than {self.config.keep_period}"
        return ApplyTask(vol, self.archive, reason, gid)

    def _apply_gid(self, view: View, vol: str) -> int | None:
        """The last snapshot older than the keep period, but not behind one that a rule keeps."""
        snapshots = view.restorable(vol)
        last = view.now - self.config.keep_period
        oldest_kept = min(plan_retention(snapshots, self.config.retention.keep, view.now).keep, default=0)
        gids = [one.gid for one in snapshots[1:] if one.ts <= last]
        if self.config.retention.keep:
            gids = [gid for gid in gids if gid <= oldest_kept]
        return gids[-1] if gids else None

    # ---- retention ----

    def _retain(self, view: View, volumes: Mapping[str, LastBegins]) -> Task | None:
        rules = self.config.retention.keep
        for vol in volumes if rules else ():
            plan = plan_retention(view.restorable(vol), rules, view.now)
            if plan.disable:
                kept = ", ".join(f"{gid} ({rule})" for gid, rule in sorted(plan.keep.items()))
                return RetentionTask(vol, self.archive, f"kept are {kept}", tuple(plan.disable))
        return None

    # ---- merge ----

    def _merge_many(self, view: View, volumes: Mapping[str, LastBegins]) -> Task | None:
        least = self.config.merge.threshold_nr
        return self._merge(view, [vol for vol in volumes if view.num_diff(vol) >= least], f"at least {least} wdiffs")

    def _merge_some(self, view: View, volumes: Mapping[str, LastBegins]) -> Task | None:
        interval = self.config.merge.interval
        due = [vol for vol, begins in volumes.items() if _is_due(begins.get(aaMerge), interval, view.now)]
        return self._merge(view, due, f"the last merge began more than {interval} ago")

    def _merge(self, view: View, volumes: list[str], reason: str) -> Task | None:
        """Of the volume with most wdiffs that can be merged."""
        merge = self.config.merge
        for vol in sorted(volumes, key=view.num_diff, reverse=True):
            gids = choose_merge_range(view.diffs(vol), merge.max_size, merge.max_nr, view.protected_gids(vol))
            if gids:
                return MergeTask(vol, self.archive, reason, gids)
        return None

    # ---- replicate ----

    def _replicate(self, view: View, volumes: Mapping[str, LastBegins]) -> Task | None:
        if not self.may_replicate:
            return None
        pairs = [
            (vol, server)
            for server in self.config.repl.getEnabledList()
            for vol in volumes
            if vol not in self.config.repl.disabled_volumes
        ]
        due = [pair for pair in pairs if _is_due(self._last(*pair), pair[1].interval, view.now)]
        for vol, server in sorted(due, key=lambda pair: self._last(*pair) or datetime.datetime.min):
            reached = view.destination_gid(server, vol)
            if reached is not None and reached != view.latest_gid(vol):
                gid = choose_send_gid(view.diffs(vol), reached, server.max_send_size)
                return ReplTask(vol, self.archive, f"{server.name} has reached only gid {reached}", server, gid)
        return None

    def _last(self, vol: str, server: ReplServerConfig) -> datetime.datetime | None:
        return self.last_replications.get((vol, server.name))


def _is_due(last: datetime.datetime | None, interval: datetime.timedelta, now: datetime.datetime) -> bool:
    """Whether something that began at `last` (None: never) may begin again."""
    return last is None or now - last > interval
