"""What an archive needs of its images; LVM and plain files provide it (docs/architecture.md, the image seam).

A *base image* holds a volume as of the state in file `base`. A *restored volume* is a writable copy of one gid; while
it is being made it carries the ending `_tmp` and may be removed by anybody (servers.md 5.1). A *cold image* is a copy
of one gid that nobody writes to: later restores begin with it, and it can take the place of the base.

All calls block: use them through World.run. They raise StorageFailure (the operating system refused), NotFound,
AlreadyExists or Cancelled. Sizes are in logical blocks of 512 bytes unless the name says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

IsCancelled = Callable[[], bool]
OnProgress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Abilities:
    """What callers have to know about a kind of store."""

    name: str
    volume_group: str = ""
    thin_pool: str = ""
    new_base_reads_zero: bool = True
    """False: the receiver of a full backup has to write zeros too."""
    grows_under_restored: bool = True
    """False: a base image that restored volumes depend on cannot grow."""


class ColdImages(Protocol):
    """The cold images of a store."""

    def gids(self, volume: str) -> list[int]:
        """Ascending."""

    def keep(self, volume: str, gid: int) -> None:
        """Makes a cold image of the temporary restored volume as it is now; one that is there is replaced."""

    def begin_restore(self, volume: str, gid: int, cold_gid: int) -> None:
        """As ImageStore.begin_restore, but copies a cold image, in the size of the base. Raises NotFound."""

    def delete(self, volume: str, gid: int) -> None:
        """Raises NotFound."""

    def begin_switch(self, volume: str, gid: int) -> None:
        """Removes the base image, and has the cold image ready to take its place. When it fails both are still there,
        or `switching_gid` tells of it."""

    def end_switch(self, volume: str, gid: int) -> None:
        """Makes what `begin_switch` has prepared the base image."""

    def cancel_switch(self, volume: str, gid: int) -> None:
        """Makes what `begin_switch` has prepared a cold image again."""

    def switching_gid(self, volume: str) -> int | None:
        """The gid of a cold image that was about to become the base when a switch was interrupted."""


class ImageStore(Protocol):
    """Base images and restored volumes of all volumes of an archive."""

    abilities: Abilities
    cold: ColdImages | None
    """None: this kind of store keeps no cold images."""

    def open(self) -> None:
        """Comes before everything else. Raises NotFound or BadState when the store cannot be used."""

    def close(self) -> None:
        """Ends what `open` has started."""

    def space_hint(self) -> str:
        """What to do when the store is full, or nearly so; empty otherwise."""

    def base_path(self, volume: str) -> Path:
        """Where the base image is, or would be."""

    def base_size_lb(self, volume: str) -> int | None:
        """Size of the base image, None when there is none."""

    def create_base(self, volume: str, size_lb: int) -> None:
        """Makes an empty base image of that size. One that exists (left by an interrupted backup) is emptied and gets
        the new size: nothing of its content stays visible where `new_base_reads_zero` is promised."""

    def open_base(self, volume: str) -> int:
        """A file descriptor for reading and writing the base image. Raises NotFound."""

    def grow_base(self, volume: str, size_lb: int) -> None:
        """Makes the base image larger; the new part reads as zeros. Raises InvalidArgument when it would shrink,
        BadState when restored volumes stand in the way (`grows_under_restored`)."""

    def delete_base(self, volume: str) -> None:
        """Removes the base image durably, one that was about to take its place too; missing ones are fine."""

    def restored_gids(self, volume: str) -> list[int]:
        """Gids of the finished restored volumes, ascending."""

    def restored_path(self, volume: str, gid: int) -> Path:
        """Where the restored volume of a gid is, or would be."""

    def begin_restore(self, volume: str, gid: int, is_cancelled: IsCancelled, on_progress: OnProgress) -> None:
        """Copies the base image as it is now to a temporary restored volume; a left-over one is replaced.
        `on_progress` gets the bytes done so far. Raises Cancelled, leaving nothing."""

    def open_restore(self, volume: str, gid: int) -> int:
        """A file descriptor for reading and writing the temporary restored volume."""

    def commit_restore(self, volume: str, gid: int) -> None:
        """Makes the temporary restored volume durable and gives it its final name."""

    def abandon_restore(self, volume: str, gid: int) -> None:
        """Removes the temporary restored volume; a missing one is fine."""

    def delete_restored(self, volume: str, gid: int) -> None:
        """Removes a restored volume durably. Raises NotFound."""

    def sweep(self, volume: str) -> list[str]:
        """Removes temporary restored volumes that a crash left behind; returns their names."""
