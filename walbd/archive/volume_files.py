"""The metadata of one volume in BASE/VOL/: `state`, `uuid`, `archive_uuid`, `base`, wdiffs (snapshot-model.md 16).

All methods block and are durable when they return; they raise StorageFailure or Corrupted.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from walbd.archive.states import STATES, SYNC_READY
from walbd.model.diff import Diff
from walbd.model.error import StorageFailure
from walbd.model.state import NO_BASE, MetaState
from walbd.model.timetext import pretty
from walbd.model.uuid_text import NIL_UUID, UUID_BYTES
from walbd.model.varint import Decoder, Encoder, Record
from walbd.server.state_machine import CLEAR
from walbd.server.volume_files import VolumeFolder, create_folder, remove_folder
from walbd.world.files import Files, NewFile

STATE = "state"
UUID = "uuid"
ARCHIVE_UUID = "archive_uuid"
BASE = "base"
FULL_REPL_STATE = "full_repl_state"
FULL_BACKUP_STATE = "full_backup_state"
WDIFF_SUFFIX = ".wdiff"
STORED_STATES = STATES.static - {CLEAR}
_COLD = re.compile(r"[0-9]+\.cold")
_CANONICAL_COLD = re.compile(r"(0|[1-9][0-9]{0,19})\.cold")


@dataclass(frozen=True, slots=True)
class FullReplState(Record):
    """How far an interrupted full replication came (snapshot-model.md section 3)."""

    state: MetaState
    progress_lb: int
    timestamp: int

    def __str__(self) -> str:
        return f"{self.state} {self.progress_lb} {pretty(self.timestamp)}"

    def write(self, out: Encoder) -> None:
        self.state.write(out)
        out.varint(self.progress_lb).varint(self.timestamp)

    @classmethod
    def read(cls, data: Decoder) -> Self:
        return cls(MetaState.read(data), data.varint(), data.varint())


@dataclass(frozen=True, slots=True)
class FullBackupState(Record):
    """How far a full backup came that was cut: of the log `uuid`, begun at `timestamp`. A file of ours; the reference
    ignores it and starts over."""

    uuid: bytes
    size_lb: int
    timestamp: int
    progress_lb: int

    def write(self, out: Encoder) -> None:
        out.raw(self.uuid).varint(self.size_lb).varint(self.timestamp).varint(self.progress_lb)

    @classmethod
    def read(cls, data: Decoder) -> Self:
        return cls(data.raw(UUID_BYTES), data.varint(), data.varint(), data.varint())


class VolumeFiles:
    """The files of one volume."""

    def __init__(self, path: Path, files: Files) -> None:
        self.path = path
        self._files = files
        self._folder = VolumeFolder(files, path)

    def create(self) -> None:
        """A new volume in SyncReady. Raises AlreadyExists."""
        create_folder(self._files, self.path, _fill)

    def forget(self) -> None:
        """Removes the history, and makes the volume SyncReady first, so that a crash cannot leave an Archived volume
        without its diffs. The images are the caller's business."""
        self.save_state(SYNC_READY)
        self.remove_wdiffs(name for name, _ in self.wdiffs())
        for name in self._names():
            if name in (FULL_REPL_STATE, FULL_BACKUP_STATE) or _COLD.fullmatch(name):
                self._folder.remove(name)
        self.sweep_temporary()

    def reset(self) -> None:
        """Makes a forgotten volume as new."""
        _fill(self._folder)

    def destroy(self) -> None:
        """Removes the folder with its content."""
        remove_folder(self._files, self.path)

    def load_state(self) -> str:
        return self._folder.load_state(STORED_STATES)

    def save_state(self, state: str) -> None:
        self._folder.save_string(STATE, state)

    def load_uuid(self) -> bytes:
        return self._folder.load_uuid(UUID)

    def save_uuid(self, uuid: bytes) -> None:
        """The uuid of the log generation whose diffs are taken."""
        self._folder.save_uuid(UUID, uuid)

    def load_archive_uuid(self) -> bytes:
        """Nil when the file is missing: the reference starts without it."""
        return self._folder.load_uuid(ARCHIVE_UUID) if self._folder.exists(ARCHIVE_UUID) else NIL_UUID

    def save_archive_uuid(self, uuid: bytes) -> None:
        """The identity of the archived history."""
        self._folder.save_uuid(ARCHIVE_UUID, uuid)

    def load_base(self) -> MetaState:
        return self._folder.load_record(BASE, MetaState)

    def save_base(self, state: MetaState) -> None:
        """What the base image holds."""
        self._folder.save_record(BASE, state)

    def load_full_repl_state(self) -> FullReplState | None:
        exists = self._folder.exists(FULL_REPL_STATE)
        return self._folder.load_record(FULL_REPL_STATE, FullReplState) if exists else None

    def load_full_backup_state(self) -> FullBackupState | None:
        exists = self._folder.exists(FULL_BACKUP_STATE)
        return self._folder.load_record(FULL_BACKUP_STATE, FullBackupState) if exists else None

    def save_full_backup_state(self, state: FullBackupState) -> None:
        """What the image holds up to there is durable."""
        self._folder.save_record(FULL_BACKUP_STATE, state)

    def remove_full_backup_state(self) -> None:
        self._folder.remove(FULL_BACKUP_STATE)

    def save_full_repl_state(self, state: FullReplState) -> None:
        """How far a full replication has come."""
        self._folder.save_record(FULL_REPL_STATE, state)

    def remove_full_repl_state(self) -> None:
        """The full replication is complete."""
        self._folder.remove(FULL_REPL_STATE)

    def cold_gids(self) -> list[int]:
        """The cold images that have a file with their time; other names are left alone (snapshot-model.md W15)."""
        return [int(match[1]) for match in map(_CANONICAL_COLD.fullmatch, self._names()) if match]

    def load_cold_time(self, gid: int) -> int:
        """UNIX seconds."""
        return self._folder.load_u64(_cold_file(gid))

    def save_cold_time(self, gid: int, timestamp: int) -> None:
        """Makes a cold image one that counts."""
        self._folder.save_u64(_cold_file(gid), timestamp)

    def remove_cold_time(self, gid: int) -> None:
        """A missing one is fine."""
        self._folder.remove(_cold_file(gid))

    def new_file(self) -> NewFile:
        """A file in the volume's folder that gets its name when it is complete."""
        return self._files.new_file(self.path)

    def diff_path(self, diff: Diff) -> Path:
        return self.path / diff.file_name

    def rename_diff(self, old: Diff, new: Diff) -> None:
        """Gives the file of a diff the name of the same diff with another flag, durably."""
        self._files.rename(self.diff_path(old), self.diff_path(new))

    def wdiffs(self) -> list[tuple[str, int]]:
        """Names and sizes in bytes of all regular files that end in .wdiff, by name ascending."""
        try:
            with os.scandir(self.path) as entries:
                return sorted(
                    (entry.name, entry.stat().st_size)
                    for entry in entries
                    if entry.name.endswith(WDIFF_SUFFIX) and entry.is_file()
                )
        except OSError as error:
            raise StorageFailure(f"cannot list {self.path}: {error.strerror}") from error

    def remove_wdiffs(self, names: Iterable[str]) -> None:
        """Removes wdiffs; the folder is synced once at the end."""
        for name in names:
            try:
                (self.path / name).unlink(missing_ok=True)
            except OSError as error:
                raise StorageFailure(f"cannot remove {self.path / name}: {error.strerror}") from error
        self._files.sync_folder(self.path)

    def sweep_temporary(self) -> int:
        """Removes temporary files that a crash left behind; returns how many."""
        return self._files.sweep_temporary(self.path)

    def _names(self) -> list[str]:
        try:
            return os.listdir(self.path)
        except OSError as error:
            raise StorageFailure(f"cannot list {self.path}: {error.strerror}") from error


def _cold_file(gid: int) -> str:
    return f"{gid}.cold"


def _fill(folder: VolumeFolder) -> None:
    """The files of a new volume; `state` comes last (snapshot-model.md 16.2)."""
    folder.save_uuid(UUID, NIL_UUID)
    folder.save_uuid(ARCHIVE_UUID, NIL_UUID)
    folder.save_record(BASE, NO_BASE)
    folder.save_string(STATE, SYNC_READY)
