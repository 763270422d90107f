"""A folder of wdiff files and the set of diffs in it: what was received, or the queue of one archive.

The set is changed on the event loop only, the files in threads: whatever is in the set has its file.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path

from walbd.model.diff import Diff
from walbd.model.diff_set import DiffSet
from walbd.model.error import InvalidArgument, StorageFailure, WalbError
from walbd.server.log import Log
from walbd.world.files import FOLDER_MODE, Files

SUFFIX = ".wdiff"


def make_folder(path: Path) -> None:
    """Makes a folder, and those above that are missing. Raises StorageFailure."""
    try:
        path.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageFailure(f"cannot create {path}: {error.strerror}") from error


class DiffFolder:
    """wdiff files by identity."""

    def __init__(self, files: Files, path: Path) -> None:
        self.files = files
        self.path = path
        self.diffs = DiffSet()

    def load(self, log: Log) -> list[Path]:
        """Reads the folder, which is made when a crash or an accident has left it out. A name that is no diff, or a
        second file of one diff, is left alone and reported (W1, W6); returns the latter. Blocks; raises
        StorageFailure."""
        if not self.path.exists():
            log.warning("made a missing directory", self.path)
            make_folder(self.path)
        self.diffs = DiffSet()
        second_files = []
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
                second_files.append(self.path / name)
                continue
            self.diffs.add(self.sized(diff))
        return second_files

    def file(self, diff: Diff) -> Path:
        """Where the diff lies."""
        return self.path / diff.file_name

    def sized(self, diff: Diff) -> Diff:
        """The diff with the size of its file; blocks."""
        try:
            return dataclasses.replace(diff, size_bytes=self.file(diff).stat().st_size)
        except OSError as error:
            raise StorageFailure(f"cannot examine {self.file(diff)}: {error.strerror}") from error

    def note(self, diffs: Iterable[Diff]) -> None:
        """Takes note of files that are here now."""
        for diff in diffs:
            self.diffs.add(diff)

    def forget(self, diffs: Iterable[Diff]) -> list[Diff]:
        """Takes them out of the set; returns those that were in it, with the names their files have."""
        found = [old for diff in diffs if (old := self.diffs.get(diff)) is not None]
        for diff in found:
            self.diffs.remove(diff)
        return found

    def missing(self, diffs: Iterable[Diff]) -> list[Diff]:
        """Those whose files are gone; blocks."""
        return [diff for diff in diffs if not self.file(diff).exists()]

    def without(self, diffs: Iterable[Diff]) -> list[Diff]:
        """Those that are not in the set."""
        return [diff for diff in diffs if diff not in self.diffs]

    def forget_sent(self, diffs: Iterable[Diff]) -> list[Diff]:
        """As `forget`, except for diffs that were replaced while they were being sent: those stay."""
        return self.forget([diff for diff in diffs if self.diffs.get(diff) is diff])

    def link_files(self, source: DiffFolder, diffs: Iterable[Diff], replaced: Iterable[Diff]) -> None:
        """Makes hard links to files of another folder, durably, in the place of the replaced ones. When that fails, no
        link is left: two files of one diff would be. Blocks."""
        new = list(diffs)
        self.unlink_files(replaced)
        try:
            for diff in new:
                self._link(source.file(diff), self.file(diff))
            self.files.sync_folder(self.path)
        except WalbError:
            self.unlink_files(new)
            raise

    def _link(self, source: Path, target: Path) -> None:
        try:
            target.unlink(missing_ok=True)
            os.link(source, target)
        except OSError as error:
            raise StorageFailure(f"cannot link {target}: {error.strerror}") from error

    def unlink_files(self, diffs: Iterable[Diff]) -> None:
        """Removes files; blocks. Not synced: one that reappears after a crash is sent again and found to be too old."""
        for diff in diffs:
            try:
                self.file(diff).unlink(missing_ok=True)
            except OSError as error:
                raise StorageFailure(f"cannot remove {self.file(diff)}: {error.strerror}") from error
