"""Who reads which diffs, so that nothing is taken away beneath a reader (servers.md W6, W7).

A reader of gid g lays the diffs that lead from the base to g over the base image. An apply up to g or less may run
meanwhile: it writes only blocks that those diffs cover. An apply beyond g would change what is read, so it is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

from walbd.model.diff import Diff
from walbd.model.error import BadState


class Reader:
    """Somebody who reads a gid of a volume."""

    def __init__(self, what: str, gid: int, diffs: Iterable[Diff]) -> None:
        self.what = what
        self.gid = gid
        self.diffs = frozenset(diffs)


class DiffUse:
    """The readers of one volume, its running apply, and the diffs whose files go when their last reader has ended.
    Used from the event loop."""

    def __init__(self, volume: str) -> None:
        self._volume = volume
        self._readers: list[Reader] = []
        self._applying_gid: int | None = None
        self._condemned: list[Diff] = []
        self._is_renaming = False

    def begin(self, what: str, gid: int, diffs: Iterable[Diff]) -> Reader:
        """A new reader. Raises BadState while an apply beyond gid runs, or files are being renamed."""
        self._check_not_renaming()
        if self._applying_gid is not None and gid < self._applying_gid:
            raise BadState(
                f"{what} of {self._volume}:{gid}: an apply up to {self._applying_gid} is running",
                f"only gid {self._applying_gid} and later can be read from now on",
            )
        reader = Reader(what, gid, diffs)
        self._readers.append(reader)
        return reader

    def end(self, reader: Reader) -> list[Diff]:
        """The diffs whose files can be removed now."""
        self._readers.remove(reader)
        return self.condemn(())

    def condemn(self, diffs: Iterable[Diff]) -> list[Diff]:
        """These diffs belong to the volume no longer. Returns those that nobody reads, to be removed; the others are
        kept in mind for `end`."""
        self._condemned += diffs
        free = [diff for diff in self._condemned if not self._is_read(diff)]
        self._condemned = [diff for diff in self._condemned if self._is_read(diff)]
        return free

    @contextmanager
    def renaming(self, diffs: Collection[Diff]) -> Iterator[None]:
        """While the files of these diffs are renamed. Raises BadState when somebody reads one of them."""
        self._check_not_renaming()
        for reader in self._readers:
            if not reader.diffs.isdisjoint(diffs):
                raise BadState(
                    f"wdiffs are being read:{self._volume}:{reader.what} of gid {reader.gid}", "wait until it has ended"
                )
        self._is_renaming = True
        try:
            yield
        finally:
            self._is_renaming = False

    @property
    def has_readers(self) -> bool:
        """Whether anybody reads the volume now."""
        return bool(self._readers)

    def _check_not_renaming(self) -> None:
        if self._is_renaming:
            raise BadState(f"snapshots of {self._volume} are being changed", "try again in a moment")

    @contextmanager
    def applying(self, gid: int) -> Iterator[None]:
        """While the base moves up to gid. Raises BadState when somebody reads an earlier gid, or files are being
        renamed."""
        self._check_not_renaming()
        for reader in self._readers:
            if reader.gid < gid:
                raise BadState(
                    f"{reader.what} of {self._volume}:{reader.gid} is running, apply up to {gid} would disturb it",
                    f"wait until it has ended, or apply up to {reader.gid}",
                )
        self._applying_gid = gid
        try:
            yield
        finally:
            self._applying_gid = None

    def _is_read(self, diff: Diff) -> bool:
        return any(diff in reader.diffs for reader in self._readers)
