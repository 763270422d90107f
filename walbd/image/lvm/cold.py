"""Cold images: thin snapshots, read only and not active until they are used (snapshot-model.md section 16.4)."""

from __future__ import annotations

from walbd.image.lvm.catalogue import Catalogue
from walbd.image.lvm.lvm import LogicalVolume, Lvm
from walbd.image.lvm.size_tags import size_tags
from walbd.image.names import (
    BASE_PREFIX,
    COLD_PREFIX,
    base_name,
    cold_name,
    next_base_name,
    unfinished_name,
)
from walbd.model.error import NotFound


class LvmColdImages:
    """ColdImages in a thin pool. They do not grow with the base: what takes their place is extended instead."""

    def __init__(self, lvm: Lvm, catalogue: Catalogue) -> None:
        self._lvm = lvm
        self._catalogue = catalogue

    def gids(self, volume: str) -> list[int]:
        return self._catalogue.gids(volume, COLD_PREFIX)

    def keep(self, volume: str, gid: int) -> None:
        name = cold_name(volume, gid)
        self._catalogue.remove(name)
        with self._catalogue.changing(name):
            self._lvm.snapshot_thin(unfinished_name(volume, gid), name, is_writable=False)

    def begin_restore(self, volume: str, gid: int, cold_gid: int) -> None:
        cold, base = self._cold(volume, cold_gid), self._catalogue.get(base_name(volume))
        name = unfinished_name(volume, gid)
        self._catalogue.remove(name)
        with self._catalogue.changing(name):
            self._lvm.snapshot_thin(cold.name, name, is_writable=True)
            if cold.size_bytes < base.size_bytes:
                self._lvm.extend(name, base.size_bytes)

    def delete(self, volume: str, gid: int) -> None:
        self._catalogue.remove(self._cold(volume, gid).name)

    def begin_switch(self, volume: str, gid: int) -> None:
        cold, base = self._cold(volume, gid), self._catalogue.get(base_name(volume))
        name = next_base_name(volume, gid)
        with self._catalogue.changing(cold.name, base.name, name):
            self._lvm.rename(cold.name, name)
            if not cold.is_writable:
                self._lvm.set_writable(name, True)
            self._lvm.activate(name)
            if cold.size_bytes < base.size_bytes:
                self._lvm.extend(name, base.size_bytes)
            if tags := size_tags(base.tags):
                self._lvm.change_tags(name, tags, [])
            self._lvm.remove(base.name)

    def end_switch(self, volume: str, gid: int) -> None:
        old, new = next_base_name(volume, gid), base_name(volume)
        with self._catalogue.changing(old, new):
            self._lvm.rename(old, new)

    def cancel_switch(self, volume: str, gid: int) -> None:
        prepared = self._catalogue.get(next_base_name(volume, gid))
        name = cold_name(volume, gid)
        with self._catalogue.changing(prepared.name, name):
            self._lvm.rename(prepared.name, name)
            if prepared.is_writable:
                self._lvm.set_writable(name, False)

    def switching_gid(self, volume: str) -> int | None:
        return next(iter(self._catalogue.gids(volume, BASE_PREFIX, is_temporary=True)), None)

    def _cold(self, volume: str, gid: int) -> LogicalVolume:
        cold = self._catalogue.find(cold_name(volume, gid))
        if cold is None:
            raise NotFound(f"volume not found:{volume}:{gid}:cold", f"'get cold {volume}' lists what is there")
        return cold
