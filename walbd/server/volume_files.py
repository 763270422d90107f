"""The small metadata files of a volume and its folder `BASE/VOL` (snapshot-model.md section 13).

All functions block: call them through World.run.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from walbd.model.error import AlreadyExists, Corrupted, StorageFailure
from walbd.model.limits import check_volume_name
from walbd.model.uuid_text import UUID_BYTES
from walbd.model.varint import Decoder, Encoder, Record
from walbd.world.files import FOLDER_MODE, Files

MAX_FILE_BYTES = 64 << 10
"""Cap of a metadata file; the largest real one has some hundred bytes."""
LEFTOVER_PREFIX = ".walb-"
"""Begins the names of folders being made or removed; no volume name has a dot."""

R = TypeVar("R", bound=Record)


class VolumeFolder:
    """The folder of one volume; every save is atomic and durable."""

    def __init__(self, files: Files, path: Path) -> None:
        self.files = files
        self.path = path

    def exists(self, name: str) -> bool:
        return (self.path / name).exists()

    def save_string(self, name: str, text: str) -> None:
        self._save(name, Encoder().string(text))

    def load_string(self, name: str) -> str:
        """Raises StorageFailure when the file cannot be read, Corrupted when it does not decode."""
        decoder = self._decoder(name)
        text = decoder.string()
        decoder.finish()
        return text

    def save_uuid(self, name: str, uuid: bytes) -> None:
        self._save(name, Encoder().raw(uuid))

    def load_uuid(self, name: str) -> bytes:
        decoder = self._decoder(name)
        uuid = decoder.raw(UUID_BYTES)
        decoder.finish()
        return uuid

    def save_u64(self, name: str, value: int) -> None:
        self._save(name, Encoder().varint(value))

    def load_u64(self, name: str) -> int:
        decoder = self._decoder(name)
        value = decoder.varint()
        decoder.finish()
        return value

    def save_record(self, name: str, record: Record) -> None:
        """A model object (lsid-gid record, base state, archive info ...)."""
        self.files.save(self.path / name, record.encode())

    def load_record(self, name: str, record_class: type[R]) -> R:
        return record_class.decode(self._load(name), str(self.path / name))

    def load_state(self, static_states: frozenset[str]) -> str:
        """The file `state`. Raises Corrupted when it names no static state."""
        state = self.load_string("state")
        if state not in static_states:
            raise Corrupted(f"{self.path / 'state'}: unknown state: {state[:80]}")
        return state

    def remove(self, name: str) -> None:
        self.files.remove(self.path / name)

    def _save(self, name: str, fields: Encoder) -> None:
        self.files.save(self.path / name, fields.bytes())

    def _load(self, name: str) -> bytes:
        return self.files.load(self.path / name, MAX_FILE_BYTES)

    def _decoder(self, name: str) -> Decoder:
        return Decoder(self._load(name), str(self.path / name))


def create_folder(files: Files, path: Path, fill: Callable[[VolumeFolder], None]) -> None:
    """Makes a folder that either does not exist or is complete: `fill` writes its files under a temporary name.
    Raises AlreadyExists when the folder is there, and what `fill` raises."""
    if path.exists():
        raise AlreadyExists(f"already exists:{path}", "remove the directory if it is not in use")
    temporary = _leftover_path(path.parent)
    try:
        temporary.mkdir(FOLDER_MODE)
    except OSError as error:
        raise StorageFailure(f"cannot create a directory in {path.parent}: {error.strerror}") from error
    try:
        fill(VolumeFolder(files, temporary))
        files.sync_folder(temporary)
        files.rename(temporary, path)
    except BaseException:
        # It may have its name already, without that being durable.
        shutil.rmtree(temporary if temporary.exists() else path, ignore_errors=True)
        raise


def remove_folder(files: Files, path: Path) -> None:
    """Removes a folder with its content; after a crash it is either whole or gone. A missing one is fine."""
    if not path.exists():
        return
    temporary = _leftover_path(path.parent)
    files.rename(path, temporary)
    _remove_tree(temporary)
    files.sync_folder(path.parent)


def sweep_leftovers(base: Path) -> int:
    """Removes folders whose creation or removal a crash has interrupted; returns how many. What cannot be removed is
    left for the next time."""
    swept = 0
    for path in list(base.iterdir()):
        if path.name.startswith(LEFTOVER_PREFIX) and path.is_dir():
            with contextlib.suppress(StorageFailure):
                _remove_tree(path)
                swept += 1
    return swept


def volume_folder(base: Path, name: str) -> Path:
    """`BASE/VOL`. Raises InvalidArgument for a name that is not allowed."""
    return base / check_volume_name(name)


def _leftover_path(base: Path) -> Path:
    return base / (LEFTOVER_PREFIX + secrets.token_hex(6))


def _remove_tree(path: Path) -> None:
    try:
        shutil.rmtree(path)
    except OSError as error:
        raise StorageFailure(f"cannot remove {path}: {error.strerror}", f"remove {os.fspath(path)} by hand") from error
