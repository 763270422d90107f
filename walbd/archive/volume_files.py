"""The metadata of one volume in BASE/VOL/: `state`, `uuid`, `archive_uuid`, `base`, wdiffs (snapshot-model.md 16).

All methods block and are durable when they return; they raise StorageFailure or Corrupted.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from walbd.archive.states import STORED, SYNC_READY
from walbd.model.diff import Diff
from walbd.model.error import AlreadyExists, Corrupted, StorageFailure
from walbd.model.state import NO_BASE, MetaState
from walbd.model.timetext import pretty
from walbd.model.uuid_text import NIL_UUID, UUID_BYTES
from walbd.model.varint import Decoder, Encoder
from walbd.world.files import FOLDER_MODE, Files, is_temporary_name

STATE = "state"
UUID = "uuid"
ARCHIVE_UUID = "archive_uuid"
BASE = "base"
FULL_REPL_STATE = "full_repl_state"
WDIFF_SUFFIX = ".wdiff"
_SMALL_FILES = (STATE, BASE, ARCHIVE_UUID, UUID)
_MAX_FILE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class FullReplState:
    """How far an interrupted full replication came; this stage only shows it."""

    state: MetaState
    progress_lb: int
    timestamp: int

    def __str__(self) -> str:
        return f"{self.state} {self.progress_lb} {pretty(self.timestamp)}"


class VolumeFiles:
    """The files of one volume."""

    def __init__(self, folder: Path, files: Files) -> None:
        self.folder = folder
        self._files = files

    def create(self) -> None:
        """A new volume in SyncReady. `state` comes last: without it there is no volume, and what an interrupted
        creation left is taken over. Raises AlreadyExists when anything else lies there."""
        try:
            self.folder.mkdir(FOLDER_MODE)
        except FileExistsError as error:
            if not self.is_remainder():
                raise AlreadyExists(f"already exists:{self.folder}", "move it away, its content is unknown") from error
        except OSError as error:
            raise StorageFailure(f"cannot create {self.folder}: {error.strerror}") from error
        self._files.sync_folder(self.folder.parent)
        self.save_uuid(NIL_UUID)
        self.save_archive_uuid(NIL_UUID)
        self.save_base(NO_BASE)
        self.save_state(SYNC_READY)

    def is_remainder(self) -> bool:
        """Whether the folder holds at most what an interrupted init-vol or clear-vol leaves: nothing of value."""
        names = self.names()
        return STATE not in names and all(name in _SMALL_FILES or is_temporary_name(name) for name in names)

    def destroy(self) -> None:
        """Removes the volume's folder; the images and wdiffs must be gone. Other files of the operator stay, and so
        does the folder then."""
        self.sweep_temporary()
        for name in _SMALL_FILES:
            self._files.remove(self.folder / name)
        try:
            self.folder.rmdir()
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise StorageFailure(f"cannot remove {self.folder}: {error.strerror}") from error
        self._files.sync_folder(self.folder.parent)

    def names(self) -> list[str]:
        """The names of all entries of the folder."""
        try:
            return os.listdir(self.folder)
        except OSError as error:
            raise StorageFailure(f"cannot list {self.folder}: {error.strerror}") from error

    def load_state(self) -> str:
        decoder = Decoder(self._files.load(self.folder / STATE, _MAX_FILE_BYTES), str(self.folder / STATE))
        state = decoder.string()
        decoder.finish()
        if state not in STORED:
            raise Corrupted(f"{decoder.what}: no such state: {state}", f"it must be one of {' '.join(sorted(STORED))}")
        return state

    def save_state(self, state: str) -> None:
        self._save(STATE, Encoder().string(state).bytes())

    def load_uuid(self) -> bytes:
        return self._load_uuid(UUID)

    def save_uuid(self, uuid: bytes) -> None:
        """The uuid of the log generation whose diffs are taken."""
        self._save(UUID, uuid)

    def load_archive_uuid(self) -> bytes:
        """Nil when the file is missing, as walb-tools before 1.0 left it."""
        return self._load_uuid(ARCHIVE_UUID) if (self.folder / ARCHIVE_UUID).exists() else NIL_UUID

    def save_archive_uuid(self, uuid: bytes) -> None:
        """The identity of the archived history."""
        self._save(ARCHIVE_UUID, uuid)

    def load_base(self) -> MetaState:
        path = self.folder / BASE
        return MetaState.decode(self._files.load(path, _MAX_FILE_BYTES), str(path))

    def save_base(self, state: MetaState) -> None:
        """What the base image holds."""
        self._save(BASE, state.encode())

    def load_full_repl_state(self) -> FullReplState | None:
        path = self.folder / FULL_REPL_STATE
        if not path.exists():
            return None
        decoder = Decoder(self._files.load(path, _MAX_FILE_BYTES), str(path))
        found = FullReplState(MetaState.read(decoder), decoder.varint(), decoder.varint())
        decoder.finish()
        return found

    def remove_full_repl_state(self) -> None:
        self._files.remove(self.folder / FULL_REPL_STATE)

    def diff_path(self, diff: Diff) -> Path:
        return self.folder / diff.file_name

    def wdiff_names(self) -> list[str]:
        """Names of all regular files that end in .wdiff."""
        return sorted(
            name for name in self.names() if name.endswith(WDIFF_SUFFIX) and (self.folder / name).is_file()
        )

    def size_bytes(self, name: str) -> int:
        try:
            return (self.folder / name).stat().st_size
        except OSError as error:
            raise StorageFailure(f"cannot examine {self.folder / name}: {error.strerror}") from error

    def remove_wdiffs(self, names: Iterable[str]) -> None:
        """Removes wdiffs; the folder is synced once at the end."""
        for name in names:
            try:
                (self.folder / name).unlink(missing_ok=True)
            except OSError as error:
                raise StorageFailure(f"cannot remove {self.folder / name}: {error.strerror}") from error
        self._files.sync_folder(self.folder)

    def sweep_temporary(self) -> int:
        """Removes temporary files that a crash left behind; returns how many."""
        return self._files.sweep_temporary(self.folder)

    def _load_uuid(self, name: str) -> bytes:
        data = self._files.load(self.folder / name, _MAX_FILE_BYTES)
        if len(data) != UUID_BYTES:
            raise Corrupted(f"{self.folder / name}: {len(data)} bytes instead of {UUID_BYTES}")
        return data

    def _save(self, name: str, data: bytes) -> None:
        self._files.save(self.folder / name, data)
