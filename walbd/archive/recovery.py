"""What a start makes of a volume's folder (snapshot-model.md 16.3; its W1, W2, W6, W12; servers.md W20, W36).

Nothing of value is removed: only temporary files and images, and diffs that the kept chain makes superfluous.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from walbd.archive.cold_recovery import load_cold_images, settle_switch
from walbd.archive.content import Content
from walbd.archive.states import ARCHIVED, SYNC_READY
from walbd.archive.volume_files import VolumeFiles
from walbd.image.store import ImageStore
from walbd.model.changes import stranded, superseded
from walbd.model.diff import Diff
from walbd.model.diff_set import DiffSet
from walbd.model.error import InvalidArgument, NotFound, WalbError


@dataclass(slots=True)
class Found:
    """A volume as its folder shows it, and what is worth a line in the log."""

    state: str
    content: Content
    infos: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def recover(name: str, files: VolumeFiles, store: ImageStore) -> Found:
    """Loads a volume and clears away what a crash left. Blocks. Raises a WalbError naming the remedy when the volume
    cannot be served; nothing is removed then that belongs to its history."""
    found = Found(*_load_state(name, files))
    if swept := store.sweep(name):
        found.infos.append(f"remove temporary snapshots:{len(swept)}:{name}")
    if count := files.sweep_temporary():
        found.infos.append(f"{name}:garbage collected tmp files:{count}")
    if found.state == SYNC_READY:
        return found
    content = found.content
    if store.cold and (told := settle_switch(name, files, store, content)):
        found.infos.append(told)
    if not store.base_size_lb(name):
        raise NotFound(
            f"base image is missing:{store.base_path(name)}",
            f"bring it back and start again, or 'clear-vol {name}' and back the volume up anew",
        )
    content.diffs = _load_diffs(name, files, found.warnings)
    content.recompute_latest()
    if store.cold:
        found.infos += load_cold_images(name, files, store.cold, content)
    if found.state == ARCHIVED:
        _drop_superseded(name, files, found)
    if behind := stranded(content.diffs, content.base):
        found.warnings.append(
            f"{name}:gap after {content.latest.snapshot_begin}:{len(behind)} wdiffs behind it are kept:{behind[0]}"
        )
    return found


def _load_state(name: str, files: VolumeFiles) -> tuple[str, Content]:
    try:
        state = files.load_state()
        return state, Content(files.load_uuid(), files.load_archive_uuid(), files.load_base())
    except WalbError as error:
        error.hint = f"bring the file back and start again, or 'clear-vol {name}' and back the volume up anew"
        raise


def _load_diffs(name: str, files: VolumeFiles, warnings: list[str]) -> DiffSet:
    """All diffs of the folder. Names that are none, and second files of one diff, are left alone and reported."""
    diffs = DiffSet()
    for file_name, size_bytes in files.wdiffs():
        try:
            diff = Diff.from_file_name(file_name, size_bytes)
        except InvalidArgument as error:
            warnings.append(f"{name}:ignored a file:{error}")
            continue
        if diff in diffs:
            # Names begin with the time: this is the later one.
            warnings.append(f"{name}:two files of one diff, the later is used:{file_name}")
            diffs.replace(diff)
        else:
            diffs.add(diff)
    return diffs


def _drop_superseded(name: str, files: VolumeFiles, found: Found) -> None:
    """Removes diffs that are too old or contained in the chain; the chain, and with it every answer, stays the same."""
    content = found.content
    gone = superseded(content.diffs, content.base)
    if not gone:
        return
    files.remove_wdiffs(diff.file_name for diff in gone)
    for diff in gone:
        content.diffs.remove(diff)
    found.infos.append(f"{name}:garbage collected wdiff files:{len(gone)}")
