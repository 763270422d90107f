"""Images as sparse files in the volume's folder: `wb_VOL`, `wr_VOL_GID` and `wr_VOL_GID_tmp` in BASE/VOL/.

No other sub-directory of BASE is made, so that a base directory stays usable by walb-tools 1.0.19.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from walbd.image.names import RESTORED_PREFIX, base_name, gid_of, restored_name, unfinished_name
from walbd.image.sparse_copy import copy_image
from walbd.image.store import Abilities, ColdImages, IsCancelled, OnProgress
from walbd.model.error import AlreadyExists, InvalidArgument, NotFound, StorageFailure
from walbd.model.limits import LB_BYTES
from walbd.world.files import Files

IMAGE_MODE = 0o600
"""Images hold the data of others: nobody but the server's user reads them."""


class PlainFileStore:
    """ImageStore on files. `base_folder` is the server's base directory."""

    abilities = Abilities("plain files")
    # Without reflink each would take the room of a whole image.
    cold: ColdImages | None = None

    def __init__(self, base_folder: Path, files: Files) -> None:
        self._base_folder = base_folder
        self._files = files

    def open(self) -> None:
        """The base directory is there already."""

    def close(self) -> None:
        """Nothing was started."""

    def space_hint(self) -> str:
        """Full file systems say so themselves."""
        return ""

    def base_path(self, volume: str) -> Path:
        return self._base_folder / volume / base_name(volume)

    def restored_path(self, volume: str, gid: int) -> Path:
        return self._base_folder / volume / restored_name(volume, gid)

    def _temporary_path(self, volume: str, gid: int) -> Path:
        return self._base_folder / volume / unfinished_name(volume, gid)

    def base_size_lb(self, volume: str) -> int | None:
        try:
            return self.base_path(volume).stat().st_size // LB_BYTES
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _failure("examine", self.base_path(volume), error) from error

    def create_base(self, volume: str, size_lb: int) -> None:
        path = self.base_path(volume)
        with _failing("create", path), _opened(path, os.O_RDWR | os.O_CREAT) as fd:
            os.fchmod(fd, IMAGE_MODE)
            # Emptied first: what an interrupted backup wrote must not show through where the new one sends zeros.
            os.ftruncate(fd, 0)
            os.ftruncate(fd, size_lb * LB_BYTES)
            os.fsync(fd)
        self._files.sync_folder(path.parent)

    def open_base(self, volume: str) -> int:
        path = self.base_path(volume)
        try:
            return os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise NotFound(f"base image does not exist:{volume}") from error
        except OSError as error:
            raise _failure("open", path, error) from error

    def grow_base(self, volume: str, size_lb: int) -> None:
        fd = self.open_base(volume)
        try:
            with _failing("grow", self.base_path(volume)):
                now_bytes = os.fstat(fd).st_size
                if size_lb * LB_BYTES < now_bytes:
                    raise InvalidArgument(
                        f"You tried to shrink the volume: {volume}: {now_bytes // LB_BYTES} to {size_lb} blocks"
                    )
                os.ftruncate(fd, size_lb * LB_BYTES)
                os.fsync(fd)
        finally:
            os.close(fd)

    def delete_base(self, volume: str) -> None:
        self._files.remove(self.base_path(volume))

    def restored_gids(self, volume: str) -> list[int]:
        return self._gids(volume, is_temporary=False)

    def begin_restore(self, volume: str, gid: int, is_cancelled: IsCancelled, on_progress: OnProgress) -> None:
        path = self._temporary_path(volume, gid)
        source = self.open_base(volume)
        try:
            with _failing("create", path), _opened(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC) as target:
                copy_image(source, target, os.fstat(source).st_size, is_cancelled, on_progress)
        except BaseException:
            self.abandon_restore(volume, gid)
            raise
        finally:
            os.close(source)

    def open_restore(self, volume: str, gid: int) -> int:
        path = self._temporary_path(volume, gid)
        with _failing("open", path):
            return os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def commit_restore(self, volume: str, gid: int) -> None:
        temporary, final = self._temporary_path(volume, gid), self.restored_path(volume, gid)
        if final.exists():
            raise AlreadyExists(f"already restored:{volume}:{gid}")
        with _failing("sync", temporary), _opened(temporary, os.O_RDONLY) as fd:
            os.fsync(fd)
        self._files.rename(temporary, final)

    def abandon_restore(self, volume: str, gid: int) -> None:
        self._files.remove(self._temporary_path(volume, gid))

    def delete_restored(self, volume: str, gid: int) -> None:
        path = self.restored_path(volume, gid)
        if not path.exists():
            raise NotFound(f"volume not found:{volume}:{gid}:restored", f"'get restored {volume}' lists what is there")
        self._files.remove(path)

    def sweep(self, volume: str) -> list[str]:
        left = [unfinished_name(volume, gid) for gid in self._gids(volume, is_temporary=True)]
        for name in left:
            self._files.remove(self._base_folder / volume / name)
        return left

    def _gids(self, volume: str, *, is_temporary: bool) -> list[int]:
        """Ascending, of the restored volumes, finished or in the making. The folder has many other files."""
        folder = self._base_folder / volume
        with _failing("list", folder), os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name.startswith(RESTORED_PREFIX) and entry.is_file()]
        gids = (gid_of(name, RESTORED_PREFIX, volume, is_temporary=is_temporary) for name in names)
        return sorted(gid for gid in gids if gid is not None)


def _failure(doing: str, path: Path, error: OSError) -> StorageFailure:
    return StorageFailure(f"cannot {doing} {path}: {error.strerror or error}")


@contextlib.contextmanager
def _failing(doing: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _failure(doing, path, error) from error


@contextlib.contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    fd = os.open(path, flags | os.O_CLOEXEC, IMAGE_MODE)
    try:
        yield fd
    finally:
        os.close(fd)
