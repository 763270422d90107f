"""The diffs of one volume (snapshot-model.md section 10.1).

Clean, dirty and compared diffs, overlaps and gaps live in one set. A set is used by one thread at a time.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator

from walbd.model.diff import Diff
from walbd.model.error import AlreadyExists, NotFound
from walbd.model.limits import UINT64_MAX
from walbd.model.sorted_gids import SortedGids

_LEVEL_BITS = 7


class _Node:
    """The diffs that cross one point of the gid axis: by begin ascending, and by end descending. On level 0 all have
    the same ends, and one list serves as both: most diffs are there, one in each node."""

    __slots__ = ("by_begin", "by_end")

    def __init__(self, level: int) -> None:
        self.by_begin: list[Diff] = []
        self.by_end: list[Diff] = [] if level else self.by_begin

    def add(self, diff: Diff) -> None:
        insort(self.by_begin, diff, key=_begin)
        if self.by_end is not self.by_begin:
            insort(self.by_end, diff, key=_minus_end)

    def remove(self, diff: Diff) -> None:
        del self.by_begin[self.by_begin.index(diff, bisect_left(self.by_begin, _begin(diff), key=_begin))]
        if self.by_end is not self.by_begin:
            del self.by_end[self.by_end.index(diff, bisect_left(self.by_end, _minus_end(diff), key=_minus_end))]


def _place(level: int, gid: int) -> int:
    """The node of a level on the path to gid: its prefix and the level in one number, which takes less than a pair."""
    return gid >> level << _LEVEL_BITS | level


def _level_of(diff: Diff) -> int:
    """The level at which the binary digits of its first and last gid part."""
    return (diff.begin.gid_begin ^ diff.end.gid_begin - 1).bit_length()


class DiffSet:
    """An interval tree whose shape is given by the binary digits of gids: a diff of [b0, b1) lies in the node where the
    paths to b0 and to b1 - 1 part, and a gid is covered only by diffs of the at most 65 nodes on its own path."""

    def __init__(self, diffs: Iterable[Diff] = ()) -> None:
        self._turns: dict[Diff, int] = {}
        self._next_turn = 0
        self._begins = SortedGids()
        self._at_begin: dict[int, tuple[Diff, ...]] = {}
        self._nodes: dict[int, _Node] = {}
        self._nodes_per_level = [0] * 65
        for diff in diffs:
            self.add(diff)

    def __len__(self) -> int:
        return len(self._turns)

    def __contains__(self, diff: object) -> bool:
        return diff in self._turns

    def __iter__(self) -> Iterator[Diff]:
        """By begin gid, those of one begin in order of insertion."""
        return self.between(0, UINT64_MAX + 1)

    def get(self, diff: Diff) -> Diff | None:
        """The diff of the set with the same ends (its flags, time and size may differ)."""
        return next((known for known in self._at_begin.get(diff.begin.gid_begin, ()) if known == diff), None)

    def add(self, diff: Diff) -> None:
        """Raises AlreadyExists when a diff with the same ends is in the set."""
        if diff in self._turns:
            raise AlreadyExists(f"MetaDiffManager::add:already exists:{diff}")
        self._next_turn += 1
        self._turns[diff] = self._next_turn
        gid = diff.begin.gid_begin
        if gid not in self._at_begin:
            self._begins.add(gid)
        self._at_begin[gid] = (*self._at_begin.get(gid, ()), diff)
        self._enter(diff)

    def remove(self, diff: Diff) -> None:
        """Does nothing when the diff is not in the set."""
        if self._turns.pop(diff, None) is None:
            return
        gid = diff.begin.gid_begin
        remaining = tuple(known for known in self._at_begin[gid] if known != diff)
        if remaining:
            self._at_begin[gid] = remaining
        else:
            del self._at_begin[gid]
            self._begins.remove(gid)
        self._leave(diff)

    def replace(self, diff: Diff) -> None:
        """Puts a diff with other flags, time or size in the place of the one with the same ends; raises NotFound."""
        if diff not in self._turns:
            raise NotFound(f"no such diff:{diff}")
        gid = diff.begin.gid_begin
        self._at_begin[gid] = tuple(diff if known == diff else known for known in self._at_begin[gid])
        self._leave(diff)
        self._enter(diff)

    def candidates(self, gid: int) -> list[Diff]:
        """The diffs with b0 <= gid < b1, in order of insertion."""
        found: list[Diff] = []
        for level, count in enumerate(self._nodes_per_level):
            node = self._nodes.get(_place(level, gid)) if count else None
            if node is None:
                continue
            middle = (gid >> level << level) + (1 << level >> 1)
            # Each diff of the node covers middle - 1 and middle (both the same on level 0), so one end decides.
            if gid < middle:
                found += node.by_begin[: bisect_right(node.by_begin, gid, key=_begin)]
            else:
                found += node.by_end[: bisect_right(node.by_end, -gid - 1, key=_minus_end)]
        if len(found) > 1:
            found.sort(key=self._turns.__getitem__)
        return found

    def beginning_at(self, gid: int) -> list[Diff]:
        """The diffs with b0 = gid, in order of insertion."""
        return list(self._at_begin.get(gid, ()))

    def first_begin(self, at_least: int) -> int | None:
        """The smallest b0 that is not below `at_least`."""
        return next(self._begins.from_gid(at_least), None)

    def between(self, gid_from: int, gid_to: int) -> Iterator[Diff]:
        """The diffs with gid_from <= b0 < gid_to, ordered like the set."""
        for gid in self._begins.from_gid(gid_from):
            if gid >= gid_to:
                return
            yield from self._at_begin[gid]

    def _enter(self, diff: Diff) -> None:
        level = _level_of(diff)
        place = _place(level, diff.begin.gid_begin)
        node = self._nodes.get(place)
        if node is None:
            node = self._nodes[place] = _Node(level)
            self._nodes_per_level[level] += 1
        node.add(diff)

    def _leave(self, diff: Diff) -> None:
        level = _level_of(diff)
        place = _place(level, diff.begin.gid_begin)
        node = self._nodes[place]
        node.remove(diff)
        if not node.by_begin:
            del self._nodes[place]
            self._nodes_per_level[level] -= 1


def _begin(diff: Diff) -> int:
    return diff.begin.gid_begin


def _minus_end(diff: Diff) -> int:
    return -diff.end.gid_begin
