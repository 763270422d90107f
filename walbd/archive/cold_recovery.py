"""What is made of the cold images and of an interrupted switch of one to the base (snapshot-model.md 16.3, 16.4).

All functions block.
"""

from __future__ import annotations

from walbd.archive.content import Content
from walbd.archive.volume_files import VolumeFiles
from walbd.image.store import ColdImages, ImageStore
from walbd.model.error import WalbError
from walbd.model.snapshot import Snapshot
from walbd.model.state import MetaState


def settle_switch(name: str, files: VolumeFiles, store: ImageStore, content: Content) -> str:
    """Completes the switch of a cold image to the base when the old base is gone, else undoes it. Returns what was
    done for the log, empty when no switch was interrupted."""
    if store.cold is None or (gid := store.cold.switching_gid(name)) is None:
        return ""
    if store.base_size_lb(name) is None:
        content.base = MetaState(Snapshot.clean(gid), None, files.load_cold_time(gid))
        complete_switch(name, files, store.cold, content.base)
        return f"completed making a cold image the base:{name}:{gid}"
    store.cold.cancel_switch(name, gid)
    return f"undid making a cold image the base:{name}:{gid}"


def complete_switch(name: str, files: VolumeFiles, cold: ColdImages, base: MetaState) -> None:
    """The old base is gone: the cold image becomes the base."""
    gid = base.snapshot_begin.gid_begin
    files.save_base(base)
    cold.end_switch(name, gid)
    files.remove_cold_time(gid)


def load_cold_images(name: str, files: VolumeFiles, cold: ColdImages, content: Content) -> list[str]:
    """Fills `content.cold_times`. An image without the file with its time was not completed, and one that is not later
    than the base serves nothing: both are removed. Returns lines for the log."""
    told, timed, present = [], set(files.cold_gids()), set(cold.gids(name))
    base_gid = content.base.snapshot_begin.gid_begin
    for gid in sorted(timed | present):
        try:
            if gid in timed & present and gid > base_gid:
                content.cold_times[gid] = files.load_cold_time(gid)
                continue
            files.remove_cold_time(gid)
            if gid in present:
                cold.delete(name, gid)
                told.append(f"verifyAndRecoverArchiveVol:removing an incomplete cold snapshot:{name}:{gid}")
        except WalbError as error:
            # It would only have made something faster.
            told.append(f"cold snapshot is not used:{name}:{gid}:{error}")
    return told
