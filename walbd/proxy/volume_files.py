"""The files of a proxy volume (snapshot-model.md section 15): `size`, `NAME.archive`, `received/`, `sendto/NAME/`.

All functions block. Adding an archive makes its folder first and `NAME.archive` last, deleting goes the other way
round: a crash leaves at most a folder that no archive owns, which the next add adopts (W10). `state` is ours: a volume
that the operator has stopped stays stopped over a restart (W33); the reference ignores the file.
"""

from __future__ import annotations

import contextlib
import shutil

from walbd.model.archive_info import ArchiveInfo
from walbd.model.error import Corrupted, InvalidArgument, StorageFailure, WalbError
from walbd.model.limits import check_archive_name
from walbd.proxy.diff_folder import DiffFolder, make_folder
from walbd.proxy.states import STARTED, STOPPED
from walbd.server.log import Log
from walbd.server.volume_files import VolumeFolder

SIZE = "size"
STATE = "state"
RECEIVED = "received"
SENDTO = "sendto"
INFO_SUFFIX = ".archive"


def fill(folder: VolumeFolder) -> None:
    """The files of a new volume without archives."""
    folder.save_u64(SIZE, 0)
    make_folder(folder.path / RECEIVED)
    make_folder(folder.path / SENDTO)


def load_size_lb(folder: VolumeFolder, log: Log) -> int:
    """The largest volume size a storage has reported, in logical blocks; 0 when the file is lost: the next storage
    tells it again."""
    try:
        return folder.load_u64(SIZE)
    except WalbError as error:
        log.warning("size of the volume is not known", error)
        return 0


def save_size_lb(folder: VolumeFolder, size_lb: int) -> None:
    """Makes a larger size durable."""
    folder.save_u64(SIZE, size_lb)


def load_is_started(folder: VolumeFolder, log: Log) -> bool:
    """Whether the volume runs; a directory without the file, as the reference leaves it, does, and one where the file
    cannot be understood: a backup that goes on is the lesser evil."""
    if not folder.exists(STATE):
        return True
    try:
        return folder.load_state(frozenset((STARTED, STOPPED))) == STARTED
    except Corrupted as error:
        log.warning("state of the volume is not known, it is started", error)
        return True


def save_state(folder: VolumeFolder, state: str) -> None:
    """Remembers Started or Stopped."""
    folder.save_string(STATE, state)


def archive_names(folder: VolumeFolder, log: Log) -> list[str]:
    """Names of the archives, ascending."""
    names = []
    for path in sorted(folder.path.glob("*" + INFO_SUFFIX)):
        try:
            names.append(check_archive_name(path.name.removesuffix(INFO_SUFFIX)))
        except InvalidArgument as error:
            log.warning("ignored a file that names no archive", path, error)
    return names


def queues_without_archive(folder: VolumeFolder) -> list[str]:
    """Names of the folders in `sendto` that belong to no archive."""
    sendto = folder.path / SENDTO
    names = sorted(path.name for path in sendto.iterdir()) if sendto.is_dir() else []
    return [name for name in names if not folder.exists(name + INFO_SUFFIX)]


def load_info(folder: VolumeFolder, name: str) -> ArchiveInfo:
    """How an archive is reached."""
    return folder.load_record(name + INFO_SUFFIX, ArchiveInfo)


def make_queue(folder: VolumeFolder, name: str) -> None:
    """The folder of a new archive's queue. One that is there already, without an owner, is adopted: only a crash or an
    accident leaves one, and what the archive does not want of it, it refuses."""
    sendto = folder.path / SENDTO
    make_folder(sendto / name)
    folder.files.sync_folder(sendto)
    folder.files.sync_folder(folder.path)


def add_info(folder: VolumeFolder, name: str, info: ArchiveInfo) -> None:
    """Adds an archive, whose queue is there, or nothing."""
    try:
        folder.save_record(name + INFO_SUFFIX, info)
    except StorageFailure:
        # The file may be there, without that being durable.
        with contextlib.suppress(StorageFailure):
            folder.remove(name + INFO_SUFFIX)
        raise


def change_info(folder: VolumeFolder, name: str, old: ArchiveInfo, new: ArchiveInfo) -> None:
    """Changes how an archive is reached, or nothing."""
    try:
        folder.save_record(name + INFO_SUFFIX, new)
    except StorageFailure:
        with contextlib.suppress(StorageFailure):
            folder.save_record(name + INFO_SUFFIX, old)
        raise


def delete_info(folder: VolumeFolder, name: str) -> None:
    """Forgets an archive."""
    folder.remove(name + INFO_SUFFIX)


def remove_queue(folder: VolumeFolder, name: str) -> None:
    """Removes the queue of an archive that is forgotten. Raises StorageFailure."""
    queue = folder.path / SENDTO / name
    try:
        shutil.rmtree(queue)
    except OSError as error:
        raise StorageFailure(
            f"{name} is deleted, but not its queue {queue}: {error.strerror}", f"remove {queue} by hand"
        ) from error
    folder.files.sync_folder(queue.parent)


def received_folder(folder: VolumeFolder) -> DiffFolder:
    """wdiffs that are not in the queues yet."""
    return DiffFolder(folder.files, folder.path / RECEIVED)


def queue_folder(folder: VolumeFolder, name: str) -> DiffFolder:
    """wdiffs that wait for an archive."""
    return DiffFolder(folder.files, folder.path / SENDTO / name)
