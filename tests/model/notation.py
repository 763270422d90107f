"""The notation of the tables: `5`, `|5,7|`, `0-->5`, `|0,5|-->|10|`, flags after a blank: `0-->1 M`, `5-->10 C`."""

from __future__ import annotations

from dataclasses import replace

from walbd.model.diff import Diff
from walbd.model.diff_set import DiffSet
from walbd.model.snapshot import Snapshot
from walbd.model.state import MetaState

TIME = 1700000000


def snap(text: str | int) -> Snapshot:
    text = str(text)
    return Snapshot.parse(text if text.startswith("|") else f"|{text}|")


def diff(text: str, timestamp: int = TIME, size_bytes: int = 0) -> Diff:
    ends, _, flags = text.partition(" ")
    begin, _, end = ends.partition("-->")
    return Diff(snap(begin), snap(end), "M" in flags, "C" in flags, timestamp, size_bytes)


def diffs(*texts: str, first_time: int = 100, size_bytes: int = 0) -> list[Diff]:
    """With times first_time, first_time + 1, ..."""
    return [diff(text, first_time + i, size_bytes) for i, text in enumerate(texts)]


def state(text: str, timestamp: int = 99) -> MetaState:
    return MetaState.parse(text, timestamp)


def diff_set(*texts: str, size_bytes: int = 0) -> DiffSet:
    return DiffSet(diffs(*texts, size_bytes=size_bytes))


def names(chosen: object) -> list[str]:
    """Diffs as text, clean ends without bars."""
    return [
        "-->".join(str(s.gid_begin) if s.is_clean else str(s) for s in (d.begin, d.end))
        for d in chosen  # type: ignore[attr-defined]
    ]


def mergeable(d: Diff, is_mergeable: bool = True) -> Diff:
    return replace(d, is_mergeable=is_mergeable)


def compared(d: Diff) -> Diff:
    return replace(d, is_compared=True)
