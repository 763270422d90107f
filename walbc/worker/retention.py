"""Retention rules: which snapshots are kept. Pure.

`keep: last 48h hourly, 14d daily, 8w weekly` keeps, of the explicit snapshots of the last 48 hours, the first of each
hour, of the last 14 days the first of each day, and so on; and always the newest. The others are made implicit, so that
merges swallow them.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from walbc.library.failure import ControlError
from walbc.worker.units import parsePERIOD

KEEP_FORM = "[last] PERIOD all|hourly|daily|weekly|monthly|yearly, more rules after commas"
_RULE = re.compile(r"(?:last\s+)?([0-9]+[a-z]?)\s+([a-z]+)")
Bucket = tuple[int, ...]

_BUCKETS: dict[str, Callable[[datetime.datetime], Bucket]] = {
    "hourly": lambda ts: (ts.year, ts.month, ts.day, ts.hour),
    "daily": lambda ts: (ts.year, ts.month, ts.day),
    "weekly": lambda ts: ts.isocalendar()[:2],
    "monthly": lambda ts: (ts.year, ts.month),
    "yearly": lambda ts: (ts.year,),
}
_EVERY = "all"


@dataclass(frozen=True)
class Rule:
    """Keeps one snapshot of each unit of time (or all of them) that is not older than `span`."""

    span: datetime.timedelta
    unit: str
    text: str

    def bucket(self, snapshot: Restorable) -> Bucket:
        """Snapshots in the same one are the same to this rule."""
        return (snapshot.gid,) if self.unit == _EVERY else _BUCKETS[self.unit](snapshot.ts)


@dataclass(frozen=True)
class Restorable:
    """A snapshot that can be restored; `ts` UTC."""

    gid: int
    ts: datetime.datetime
    is_explicit: bool


@dataclass(frozen=True)
class RetentionPlan:
    """`keep`: by gid the rule that wants it. `disable`: explicit snapshots to be made implicit."""

    keep: dict[int, str]
    disable: list[int]


def parse_keep(value: object) -> tuple[Rule, ...]:
    """The rules of a `keep` line. Raises ControlError naming the part that is wrong."""
    return tuple(_rule(part.strip()) for part in str(value).split(","))


def _rule(text: str) -> Rule:
    match = _RULE.fullmatch(text)
    if not match or (match[2] != _EVERY and match[2] not in _BUCKETS):
        raise ControlError("bad rule", text)
    span = parsePERIOD(match[1])
    if not span:
        raise ControlError("bad rule", text)
    return Rule(span, match[2], text)


def longest(rules: Sequence[Rule]) -> datetime.timedelta:
    """How far back any rule reaches."""
    return max((rule.span for rule in rules), default=datetime.timedelta(0))


def plan_retention(snapshots: Sequence[Restorable], rules: Sequence[Rule], now: datetime.datetime) -> RetentionPlan:
    """What the rules ask for. `snapshots` are those that can be restored, in order. Only explicit ones count, so that a
    plan that was carried out asks for nothing more."""
    explicit = [snapshot for snapshot in snapshots if snapshot.is_explicit]
    keep: dict[int, str] = {}
    for rule in rules:
        seen: set[Bucket] = set()
        for snapshot in explicit:
            bucket = rule.bucket(snapshot)
            if snapshot.ts >= now - rule.span and bucket not in seen:
                seen.add(bucket)
                keep.setdefault(snapshot.gid, rule.text)
    for newest in snapshots[-1:]:
        keep.setdefault(newest.gid, "the newest")
    return RetentionPlan(keep, [snapshot.gid for snapshot in explicit if snapshot.gid not in keep])
