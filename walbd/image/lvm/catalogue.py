"""The logical volumes there are, as last listed: listing them for each question would take too long."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from walbd.image.lvm.lvm import LogicalVolume, Lvm
from walbd.image.names import gid_of
from walbd.model.error import BadState, NotFound, StorageFailure


class Catalogue:
    """What `lvs` said, brought up to date by each change of ours. When a device node contradicts it, somebody else has
    changed something, and the volume is listed anew. Used from threads; raises StorageFailure."""

    def __init__(self, lvm: Lvm, pool: str) -> None:
        """Only volumes of the pool are looked at, or with pool "" only those that are in none (servers.md 5.1)."""
        self._lvm = lvm
        self._pool = pool
        self._lock = threading.RLock()
        self._volumes: dict[str, LogicalVolume] = {}

    def refresh(self) -> None:
        """Lists all."""
        with self._lock:
            self._volumes = {volume.name: volume for volume in self._lvm.volumes() if volume.pool == self._pool}

    def find(self, name: str) -> LogicalVolume | None:
        """None when there is no such volume of ours."""
        volume = self._volumes.get(name)
        if (volume is not None and volume.is_active) == os.path.lexists(self._lvm.path(name)):
            return volume
        with self._lock:
            self._reread(name)
        return self._volumes.get(name)

    def get(self, name: str) -> LogicalVolume:
        """Raises NotFound."""
        volume = self.find(name)
        if volume is None:
            raise NotFound(f"logical volume does not exist:{self._lvm.group_name}/{name}")
        return volume

    def gids(self, volume: str, prefix: str, *, is_temporary: bool = False) -> list[int]:
        """Ascending, of the logical volumes of this kind of a volume. One that somebody else has removed is none."""
        gids = {name: gid_of(name, prefix, volume, is_temporary=is_temporary) for name in self._volumes}
        return sorted(gid for name, gid in gids.items() if gid is not None and self.find(name))

    @contextmanager
    def changing(self, *names: str) -> Iterator[None]:
        """Around commands that make, change or remove these volumes: one such step at a time, seen as it ended, also
        when it failed."""
        with self._lock:
            try:
                yield
            finally:
                self._reread(*names)

    def remove(self, name: str, hint: str = "") -> None:
        """Removes a volume; a missing one is fine. `hint` says what to do when it is in use. Raises BadState for an
        origin of thick snapshots: LVM would take them along, and they may be somebody else's."""
        if self.find(name) is None:
            return
        dependent = [volume.name for volume in self._volumes.values() if volume.origin == name and not volume.pool]
        if dependent:
            raise BadState(f"logical volume has snapshots:{name}:{','.join(dependent)}", "remove them first")
        with self.changing(name):
            try:
                self._lvm.remove(name)
            except StorageFailure as error:
                error.hint = hint or error.hint
                raise

    def open(self, name: str) -> int:
        """A descriptor of the device for reading and writing. Raises NotFound."""
        if not self.get(name).is_active:
            with self.changing(name):
                self._lvm.activate(name)
        path = self._lvm.path(name)
        try:
            return os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise StorageFailure(f"cannot open {path}: {error.strerror}") from error

    def _reread(self, *names: str) -> None:
        found = {volume.name: volume for volume in self._lvm.volumes(names) if volume.pool == self._pool}
        # A new dict: readers take no lock.
        self._volumes = {name: volume for name, volume in self._volumes.items() if name not in names} | found
