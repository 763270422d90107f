"""What images on thick and thin logical volumes have in common."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from walbd._core import lib
from walbd.image.lvm.catalogue import Catalogue
from walbd.image.lvm.lvm import LogicalVolume, Lvm
from walbd.image.lvm.size_tags import GROWING, size_lb_of, size_tag, size_tags
from walbd.image.names import RESTORED_PREFIX, base_name, restored_name, unfinished_name
from walbd.image.store import Abilities, ColdImages, IsCancelled, OnProgress
from walbd.model.error import AlreadyExists, Cancelled, InvalidArgument, NotFound, StorageFailure
from walbd.model.limits import LB_BYTES


class LvmStore(ABC):
    """ImageStore on logical volumes. Names as in servers.md section 5.1."""

    abilities: Abilities
    cold: ColdImages | None = None

    def __init__(self, lvm: Lvm, pool: str) -> None:
        self._lvm = lvm
        self._catalogue = Catalogue(lvm, pool)

    def open(self) -> None:
        try:
            self._lvm.open()
            self._group = self._lvm.group()
            self._check()
            self._catalogue.refresh()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._lvm.close()

    @abstractmethod
    def space_hint(self) -> str:
        """As ImageStore says."""

    @abstractmethod
    def _check(self) -> None:
        """Raises NotFound or BadState when images cannot be made here."""

    @abstractmethod
    def _create_base(self, name: str, size_lb: int) -> None:
        """Makes the logical volume of a base."""

    @abstractmethod
    def _snapshot(self, origin: LogicalVolume, name: str) -> None:
        """Makes a writable snapshot."""

    @abstractmethod
    def _check_can_grow(self, volume: str) -> None:
        """Raises BadState."""

    @abstractmethod
    def _zero(self, name: str, begin_lb: int, end_lb: int) -> None:
        """Makes blocks read as zeros that never held data of the volume."""

    def base_path(self, volume: str) -> Path:
        return self._lvm.path(base_name(volume))

    def restored_path(self, volume: str, gid: int) -> Path:
        return self._lvm.path(restored_name(volume, gid))

    def base_size_lb(self, volume: str) -> int | None:
        base = self._catalogue.find(base_name(volume))
        return size_lb_of(base, self._group) if base else None

    def create_base(self, volume: str, size_lb: int) -> None:
        # A new one instead of the old one emptied: that is quicker, and no larger one is left.
        self.delete_base(volume)
        name = base_name(volume)
        with self._catalogue.changing(name):
            self._create_base(name, size_lb)
        # Restored volumes show the rest of the last extent too.
        self._zero(name, size_lb, self._group.rounded_bytes(size_lb * LB_BYTES) // LB_BYTES)

    def open_base(self, volume: str) -> int:
        return self._catalogue.open(self._base(volume).name)

    def grow_base(self, volume: str, size_lb: int) -> None:
        name = self._base(volume).name
        with self._catalogue.changing(name):
            # Looked at only here: whoever comes second must not zero what was written since.
            base = self._base(volume)
            now_lb = size_lb_of(base, self._group)
            if size_lb < now_lb:
                raise InvalidArgument(f"You tried to shrink the volume: {volume}: {now_lb} to {size_lb} blocks")
            if size_lb == now_lb:
                return
            self._check_can_grow(volume)
            whole_bytes = max(self._group.rounded_bytes(size_lb * LB_BYTES), base.size_bytes)
            # Interrupted, it keeps its size, and the next attempt writes the zeros again.
            self._change_tags(base, [GROWING, size_tag(now_lb)])
            if whole_bytes > base.size_bytes:
                self._lvm.extend(name, whole_bytes)
            self._zero(name, now_lb, whole_bytes // LB_BYTES)
            self._lvm.change_tags(name, [size_tag(size_lb)], [GROWING, size_tag(now_lb)])

    def _change_tags(self, base: LogicalVolume, tags: list[str]) -> None:
        """Has the base carry these tags of ours and no other."""
        old = size_tags(base.tags)
        added, removed = [tag for tag in tags if tag not in old], [tag for tag in old if tag not in tags]
        if added or removed:
            self._lvm.change_tags(base.name, added, removed)

    def delete_base(self, volume: str) -> None:
        self._catalogue.remove(base_name(volume))

    def restored_gids(self, volume: str) -> list[int]:
        return self._catalogue.gids(volume, RESTORED_PREFIX)

    def begin_restore(self, volume: str, gid: int, is_cancelled: IsCancelled, on_progress: OnProgress) -> None:
        if is_cancelled():
            raise Cancelled("making a snapshot of the base image was cancelled")
        base, name = self._base(volume), unfinished_name(volume, gid)
        self._catalogue.remove(name)
        with self._catalogue.changing(name):
            self._snapshot(base, name)
        on_progress(base.size_bytes)

    def open_restore(self, volume: str, gid: int) -> int:
        return self._catalogue.open(unfinished_name(volume, gid))

    def commit_restore(self, volume: str, gid: int) -> None:
        unfinished, final = unfinished_name(volume, gid), restored_name(volume, gid)
        if self._catalogue.find(final):
            raise AlreadyExists(f"already restored:{volume}:{gid}")
        with self._opened(unfinished, "sync") as fd:
            os.fsync(fd)
        with self._catalogue.changing(unfinished, final):
            self._lvm.rename(unfinished, final)

    def abandon_restore(self, volume: str, gid: int) -> None:
        self._catalogue.remove(unfinished_name(volume, gid))

    def delete_restored(self, volume: str, gid: int) -> None:
        name = restored_name(volume, gid)
        if self._catalogue.find(name) is None:
            raise NotFound(f"volume not found:{volume}:{gid}:restored", f"'get restored {volume}' lists what is there")
        self._catalogue.remove(name, f"unmount {self._lvm.path(name)} and end what else uses it, then try again")

    def sweep(self, volume: str) -> list[str]:
        gids = self._catalogue.gids(volume, RESTORED_PREFIX, is_temporary=True)
        left = [unfinished_name(volume, gid) for gid in gids]
        for name in left:
            self._catalogue.remove(name)
        return left

    def _base(self, volume: str) -> LogicalVolume:
        base = self._catalogue.find(base_name(volume))
        if base is None:
            raise NotFound(f"base image does not exist:{volume}")
        return base

    @contextmanager
    def _opened(self, name: str, doing: str) -> Iterator[int]:
        """A descriptor of the device; what fails within names it."""
        fd = self._catalogue.open(name)
        try:
            yield fd
        except OSError as error:
            raise StorageFailure(f"cannot {doing} {name}: {error.strerror}", self.space_hint()) from error
        finally:
            os.close(fd)

    def _write_zeros(self, name: str, begin_lb: int, end_lb: int) -> None:
        if begin_lb == end_lb:
            return
        with self._opened(name, "write zeros to") as fd:
            result = lib.walb_zero_range(fd, begin_lb * LB_BYTES, (end_lb - begin_lb) * LB_BYTES)
            if result:
                raise OSError(-result, os.strerror(-result))
            os.fsync(fd)
