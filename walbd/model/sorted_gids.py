"""A sorted collection of distinct gids."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

_CHUNK = 512


class SortedGids:
    """Kept in chunks of at most 2 * _CHUNK, so that an insertion anywhere moves little memory."""

    def __init__(self) -> None:
        self._chunks: list[list[int]] = []
        self._last: list[int] = []

    def add(self, gid: int) -> None:
        """Adds a gid that is not there."""
        if not self._chunks:
            self._chunks.append([gid])
            self._last.append(gid)
            return
        i = min(bisect_left(self._last, gid), len(self._last) - 1)
        chunk = self._chunks[i]
        insort(chunk, gid)
        if len(chunk) > 2 * _CHUNK:
            self._chunks.insert(i + 1, chunk[_CHUNK:])
            self._last.insert(i + 1, chunk[-1])
            del chunk[_CHUNK:]
        self._last[i] = chunk[-1]

    def remove(self, gid: int) -> None:
        """Removes a gid that is there."""
        i = bisect_left(self._last, gid)
        chunk = self._chunks[i]
        del chunk[bisect_left(chunk, gid)]
        if chunk:
            self._last[i] = chunk[-1]
        else:
            del self._chunks[i], self._last[i]

    def from_gid(self, gid: int) -> Iterator[int]:
        """The gids that are not smaller, ascending."""
        i = bisect_left(self._last, gid)
        for chunk in self._chunks[i : i + 1]:
            yield from chunk[bisect_left(chunk, gid) :]
        for chunk in self._chunks[i + 1 :]:
            yield from chunk
