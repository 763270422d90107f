"""A folder of wdiff files and the set of diffs in it: what was received, or the queue of one archive.

All functions block; a folder is changed by one caller at a time.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path

from walbd.model.diff import Diff
from walbd.model.diff_set import DiffSet
from walbd.model.error import InvalidArgument, StorageFailure
from walbd.server.log import Log
from walbd.world.files import Files

SUFFIX = ".wdiff"


class DiffFolder:
    """wdiff files by identity. Memory and folder agree whenever a method has returned."""

    def __init__(self, files: Files, path: Path) -> None:
        self.files = files
        self.path = path
        self.diffs = DiffSet()

    def load(self, log: Log) -> None:
        """Reads the folder. A name that is no diff, or a second file of one diff, is left alone and reported (W1, W6).
        Raises StorageFailure."""
        self.diffs = DiffSet()
        try:
            names = sorted(entry.name for entry in os.scandir(self.path) if entry.is_file(follow_symlinks=False))
        except OSError as error:
            raise StorageFailure(f"cannot list {self.path}: {error.strerror}") from error
        for name in names:
            if not name.endswith(SUFFIX):
                continue
            try:
                diff = Diff.from_file_name(name)
            except InvalidArgument as error:
                log.warning("ignored a file that is no wdiff", self.path / name, error)
                continue
            if diff in self.diffs:
                log.warning("ignored a second file of one diff", self.path / name)
                continue
            self.diffs.add(self._sized(diff))

    def file(self, diff: Diff) -> Path:
        """Where the diff lies."""
        return self.path / diff.file_name

    def register(self, diff: Diff) -> None:
        """Takes note of a file that was written here. What was here of the same identity is replaced."""
        self._forget_same(diff)
        self.diffs.add(self._sized(diff))

    def link_from(self, source: DiffFolder, diffs: Iterable[Diff]) -> None:
        """Adds hard links to diffs of another folder, durably. A diff of the same identity that is here already is
        replaced: it is an earlier transfer of the same range, or belongs to a log that was cleared since."""
        new = list(diffs)
        for diff in new:
            self._forget_same(diff)
            target = self.file(diff)
            try:
                target.unlink(missing_ok=True)
                os.link(source.file(diff), target)
            except OSError as error:
                raise StorageFailure(f"cannot link {target}: {error.strerror}") from error
        self.files.sync_folder(self.path)
        for diff in new:
            self.diffs.add(diff)

    def remove(self, diffs: Iterable[Diff]) -> None:
        """Unlinks diffs. Not synced: a file that reappears after a crash is sent again and found to be too old."""
        for diff in diffs:
            try:
                self.file(diff).unlink(missing_ok=True)
            except OSError as error:
                raise StorageFailure(f"cannot remove {self.file(diff)}: {error.strerror}") from error
            self.diffs.remove(diff)

    def _forget_same(self, diff: Diff) -> None:
        old = self.diffs.get(diff)
        if old is not None:
            self.diffs.remove(old)
            if old.file_name != diff.file_name:
                self.files.remove(self.file(old))

    def _sized(self, diff: Diff) -> Diff:
        try:
            return dataclasses.replace(diff, size_bytes=self.file(diff).stat().st_size)
        except OSError as error:
            raise StorageFailure(f"cannot examine {self.file(diff)}: {error.strerror}") from error
