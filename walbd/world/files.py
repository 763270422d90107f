"""Durable file operations, written once (docs/architecture.md, durability).

Temporary file in the same folder, write, fsync, rename, fsync the folder. All functions block: call them through
World.run.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import string
from pathlib import Path

from walbd.model.error import StorageFailure

TEMPORARY_PREFIX = "tmp"
TEMPORARY_LETTERS = 6
FILE_MODE = 0o644
FOLDER_MODE = 0o755
_ALPHABET = string.ascii_letters + string.digits


def is_temporary_name(name: str) -> bool:
    """True for `tmp` and six more characters: what a crash may leave behind (snapshot-model.md section 13)."""
    return name.startswith(TEMPORARY_PREFIX) and len(name) == len(TEMPORARY_PREFIX) + TEMPORARY_LETTERS


class NewFile:
    """A file that does not exist until `commit`: written under a temporary name, synced, renamed.

    Use it as a context manager: leaving without commit removes it.
    """

    def __init__(self, files: Files, folder: Path) -> None:
        self._files = files
        letters = "".join(secrets.choice(_ALPHABET) for _ in range(TEMPORARY_LETTERS))
        self.path = folder / (TEMPORARY_PREFIX + letters)
        try:
            self.fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageFailure(f"cannot create a file in {folder}: {error.strerror}") from error

    def commit(self, name: str) -> Path:
        """Makes the content durable and visible as `name` in the same folder, replacing what was there."""
        final = self.path.with_name(name)
        try:
            os.fchmod(self.fd, FILE_MODE)
            os.fsync(self.fd)
            os.rename(self.path, final)
        except OSError as error:
            raise StorageFailure(f"cannot write {final}: {error.strerror}") from error
        self._close()
        self._files.sync_folder(final.parent)
        return final

    def discard(self) -> None:
        """Removes the file; does nothing after commit."""
        if self.fd >= 0:
            self._close()
            with contextlib.suppress(OSError):
                os.unlink(self.path)

    def _close(self) -> None:
        os.close(self.fd)
        self.fd = -1

    def __enter__(self) -> NewFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()


class Files:
    """The durable operations. Tests replace it to inject faults."""

    def new_file(self, folder: Path) -> NewFile:
        """A NewFile in the folder that will hold it."""
        return NewFile(self, folder)

    def save(self, path: Path, data: bytes) -> None:
        """Replaces a whole small file atomically and durably."""
        with self.new_file(path.parent) as new:
            try:
                written = 0
                while written < len(data):
                    written += os.write(new.fd, data[written:])
            except OSError as error:
                raise StorageFailure(f"cannot write {path}: {error.strerror}") from error
            new.commit(path.name)

    def load(self, path: Path, max_bytes: int) -> bytes:
        """The content of a small file. Raises StorageFailure when it cannot be read or is larger than max_bytes."""
        try:
            with open(path, "rb") as file:
                data = file.read(max_bytes + 1)
        except OSError as error:
            raise StorageFailure(f"cannot read {path}: {error.strerror}") from error
        if len(data) > max_bytes:
            raise StorageFailure(f"{path} is larger than {max_bytes} bytes")
        return data

    def remove(self, path: Path) -> None:
        """Unlinks a file and makes that durable; a missing file is fine."""
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StorageFailure(f"cannot remove {path}: {error.strerror}") from error
        self.sync_folder(path.parent)

    def rename(self, old: Path, new: Path) -> None:
        """Renames within or between folders of one file system, durably."""
        try:
            os.rename(old, new)
        except OSError as error:
            raise StorageFailure(f"cannot rename {old} to {new}: {error.strerror}") from error
        self.sync_folder(new.parent)
        if old.parent != new.parent:
            self.sync_folder(old.parent)

    def sync_folder(self, folder: Path) -> None:
        """Makes renames, links and unlinks in a folder durable."""
        try:
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise StorageFailure(f"cannot sync folder {folder}: {error.strerror}") from error

    def sweep_temporary(self, folder: Path) -> int:
        """Removes left-over temporary files; returns how many."""
        left = [path for path in folder.iterdir() if is_temporary_name(path.name) and path.is_file()]
        for path in left:
            path.unlink(missing_ok=True)
        return len(left)
