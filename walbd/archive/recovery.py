"""What a start makes of the base directory (snapshot-model.md 16.3, with W1, W2, W12, W20 and W36 of the specification).

One bad volume never stops the server: it is marked failed with the reason and what to do. Nothing of value is removed:
only temporary files and images, and diffs that the kept chain makes superfluous.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from walbd.archive.content import Content
from walbd.archive.states import ARCHIVED, SYNC_READY
from walbd.archive.volume_files import STATE, VolumeFiles
from walbd.image.store import ImageStore
from walbd.model.diff import Diff
from walbd.model.diff_set import DiffSet
from walbd.model.error import InvalidArgument, NotFound, StorageFailure, WalbError
from walbd.model.limits import check_volume_name
from walbd.model.selection import state_chain, superseded
from walbd.world.files import Files


@dataclass(slots=True)
class Found:
    """One volume as its folder shows it. `failure` set: it cannot be served, and why."""

    name: str
    state: str = ""
    content: Content = field(default_factory=Content)
    failure: WalbError | None = None
    infos: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def find_volumes(base_folder: Path, files: Files, store: ImageStore) -> Iterator[Found]:
    """Recovers every volume below the base directory. A folder that is no volume yields a Found without a state, with
    a warning. Blocks. Raises StorageFailure when the base directory itself cannot be read."""
    try:
        folders = sorted(path for path in base_folder.iterdir() if path.is_dir() and not path.is_symlink())
    except OSError as error:
        raise StorageFailure(f"cannot list {base_folder}: {error.strerror}") from error
    for folder in folders:
        found = Found(folder.name)
        try:
            _recover(found, VolumeFiles(folder, files), store)
        except WalbError as error:
            found.failure = error
        yield found


def _recover(found: Found, files: VolumeFiles, store: ImageStore) -> None:
    if not _is_volume(found, files):
        return
    found.state = files.load_state()
    content = found.content
    content.uuid = files.load_uuid()
    content.archive_uuid = files.load_archive_uuid()
    content.base = files.load_base()
    if swept := store.sweep(found.name):
        found.infos.append(f"remove temporary snapshots:{len(swept)}:{found.name}")
    if count := files.sweep_temporary():
        found.infos.append(f"{found.name}:garbage collected tmp files:{count}")
    if found.state == SYNC_READY:
        return
    if not store.base_size_lb(found.name):
        raise NotFound(
            f"base image is missing:{store.base_path(found.name)}",
            f"bring it back and start again, or 'clear-vol {found.name}' and back the volume up anew",
        )
    content.diffs = _load_diffs(found, files)
    content.recompute_latest()
    if found.state == ARCHIVED:
        _drop_superseded(found, files)
    _report_gap(found)


def _is_volume(found: Found, files: VolumeFiles) -> bool:
    """False for a stray folder and for what an interrupted init-vol or clear-vol left, which is removed."""
    try:
        check_volume_name(found.name)
    except InvalidArgument:
        found.warnings.append(f"ignored a folder that is no volume:{files.folder}")
        return False
    names = files.names()
    if STATE in names:
        return True
    if names and files.is_remainder():
        files.destroy()
        found.infos.append(f"removed the remainder of an unfinished init-vol or clear-vol:{found.name}")
        return False
    if any(name.endswith(".wdiff") or name.startswith(("wb_", "wr_")) for name in names):
        raise NotFound(
            f"file state is missing:{files.folder / STATE}",
            f"bring it back and start again, or 'clear-vol {found.name}' and back the volume up anew",
        )
    found.warnings.append(f"ignored a folder that is no volume:{files.folder}")
    return False


def _load_diffs(found: Found, files: VolumeFiles) -> DiffSet:
    """All diffs of the folder. Names that are none, and second files of one diff, are left alone and reported."""
    diffs = DiffSet()
    for name in files.wdiff_names():
        try:
            diff = Diff.from_file_name(name, files.size_bytes(name))
        except InvalidArgument as error:
            found.warnings.append(f"{found.name}:ignored a file:{error}")
            continue
        if diff in diffs:
            # The names begin with the time, so this one is the later; it is the one a restart of the sender made.
            found.warnings.append(f"{found.name}:two files of one diff, the later is used:{name}")
            diffs.replace(diff)
        else:
            diffs.add(diff)
    return diffs


def _drop_superseded(found: Found, files: VolumeFiles) -> None:
    """Removes diffs that are too old or contained in the chain; the chain, and with it every answer, stays the same."""
    content = found.content
    gone = superseded(content.diffs, content.base)
    if not gone:
        return
    files.remove_wdiffs(diff.file_name for diff in gone)
    for diff in gone:
        content.diffs.remove(diff)
    found.infos.append(f"{found.name}:garbage collected wdiff files:{len(gone)}")


def _report_gap(found: Found) -> None:
    content = found.content
    reachable = len(state_chain(content.diffs, content.base))
    superfluous = len(superseded(content.diffs, content.base))
    if unreachable := len(content.diffs) - reachable - superfluous:
        found.warnings.append(
            f"{found.name}:gap after {content.latest.snapshot_begin}:{unreachable} wdiff files behind it are kept"
        )
