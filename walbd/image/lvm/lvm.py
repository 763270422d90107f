"""What the image stores need of LVM. The real one is in commands.py; tests have a simulated one.

All calls block and raise StorageFailure with LVM's own message. Names are those of logical volumes of one volume group.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class VolumeGroup:
    """A volume group as `vgs` reports it. Space is given in whole extents."""

    name: str
    extent_bytes: int
    free_bytes: int

    def rounded_bytes(self, size_bytes: int) -> int:
        """The size of a logical volume that is to hold so many bytes."""
        return -(-size_bytes // self.extent_bytes) * self.extent_bytes


@dataclass(frozen=True, slots=True)
class LogicalVolume:
    """A logical volume as `lvs` reports it."""

    name: str
    size_bytes: int
    origin: str = ""
    """What it is a snapshot of."""
    pool: str = ""
    """The pool it lies in."""
    is_thin_pool: bool = False
    zeroes_new_blocks: bool = False
    """Of a thin pool: what is written for the first time reads as zeros around it."""
    is_active: bool = True
    is_writable: bool = True
    tags: frozenset[str] = frozenset()
    data_percent: float = 0.0
    """How full a thin pool is."""
    metadata_percent: float = 0.0


class Lvm(Protocol):
    """The logical volumes of one group."""

    @property
    def group_name(self) -> str:
        """Name of the volume group."""

    def open(self) -> None:
        """Comes first. Raises NotFound when LVM is not installed."""

    def group(self) -> VolumeGroup:
        """Raises NotFound when there is no such group."""

    def volumes(self, names: Collection[str] = ()) -> list[LogicalVolume]:
        """The logical volumes of these names (missing ones are left out), or all that are not internal ones of LVM."""

    def path(self, name: str) -> Path:
        """The device node."""

    def create(self, name: str, size_bytes: int, tags: Iterable[str]) -> None:
        """A thick volume; its content is whatever lay on the disk. The size is rounded up to extents."""

    def create_thin(self, pool: str, name: str, size_bytes: int, tags: Iterable[str]) -> None:
        """A thin volume, which reads as zeros. The size is rounded up to extents."""

    def snapshot(self, origin: str, name: str, room_bytes: int) -> None:
        """A thick snapshot, writable, with room for so many bytes that differ from the origin."""

    def snapshot_thin(self, origin: str, name: str, *, is_writable: bool) -> None:
        """A thin snapshot, of the origin's size. One that is not writable is not active either."""

    def rename(self, old: str, new: str) -> None:
        """Also while it is in use."""

    def remove(self, name: str) -> None:
        """Fails when it is open. Takes thick snapshots of it along."""

    def extend(self, name: str, size_bytes: int) -> None:
        """Makes it larger. The size is rounded up to extents."""

    def change_tags(self, name: str, added: Iterable[str], removed: Iterable[str]) -> None:
        """In one step."""

    def set_writable(self, name: str, is_writable: bool) -> None:
        """Changes the permission, which must be another than it is; and whether a start of the host activates it."""

    def activate(self, name: str) -> None:
        """Makes its device node appear."""

    def close(self) -> None:
        """Ends what was started for it."""
