"""restore and del-restored (servers.md section 5.8).

A restored volume is a copy of the base image to which the chosen diffs are written; base image and wdiffs are never
changed. It gets its name when it is complete and durable, so that an interrupted restore leaves a temporary image only.
"""

from __future__ import annotations

import os
from typing import Protocol

from walbd.archive.archive import Archive
from walbd.archive.states import RESTORE
from walbd.archive.volume import ArchiveVolume
from walbd.model.algebra import apply_state
from walbd.model.diff import Diff
from walbd.model.error import AlreadyExists, NotFound
from walbd.model.limits import LB_BYTES
from walbd.model.selection import to_restore
from walbd.net.tasks import run_to_end
from walbd.server.tasks import Slots, Work
from walbd.wdiff.apply import apply_wdiffs

DEFAULT_MAX_OPEN = 256
"""Wdiffs opened at once unless -maxopen says otherwise."""


class Asker(Protocol):
    """Who wants it (a ControlRequest)."""

    async def accept(self) -> None:
        """Called once nothing speaks against it any more."""

    def progress(self, done: int, total: int, unit: str, phase: str = "") -> None:
        """Called now and then from any thread."""


async def restore(archive: Archive, name: str, gid: int, asker: Asker) -> None:
    """Makes the restored volume of a gid. Raises BadState, AlreadyExists, NotFound before it is accepted; Cancelled,
    StorageFailure, Corrupted after."""
    volume = archive.volumes.get(name)
    volume.check("restore")
    restored_gids = await archive.world.run(archive.store.restored_gids, name)
    volume.check("restore")
    if gid in restored_gids:
        raise AlreadyExists(f"already restored:{name}:{gid}", f"'del-restored {name} {gid}' removes it")
    _choose(volume, gid)
    with (
        archive.works.begin("restore", name, Slots.FOREGROUND, volume.is_cancelled) as work,
        volume.actions.running(RESTORE),
    ):
        await asker.accept()
        archive.log.info(f"restore started:{name}:{gid}")
        begin_sec = archive.world.monotonic()
        try:
            await _Restore(archive, volume, gid, work, asker).run()
        except BaseException:
            await run_to_end(archive.world, archive.store.abandon_restore, name, gid)
            raise
        archive.log.info(f"restore succeeded:{name}:{gid}:{archive.world.monotonic() - begin_sec:.3f}")


async def delete_restored(archive: Archive, name: str, gid: int) -> None:
    """Removes the restored volume of a gid. Raises NotFound."""
    volume = archive.volumes.get(name)
    volume.check("del-restored")
    await run_to_end(archive.world, archive.store.delete_restored, name, gid)
    archive.log.info(f"del-restored succeeded:{name}:{gid}")


def _choose(volume: ArchiveVolume, gid: int) -> list[Diff]:
    """The diffs that lead from the base to the clean snapshot gid."""
    try:
        return to_restore(volume.content.diffs, volume.content.base, gid)
    except NotFound as error:
        raise NotFound(
            f"bad gid to restore:{volume.name}:{gid}", f"choose one of 'get restorable {volume.name} all'"
        ) from error


class _Restore:
    """One restore at work."""

    def __init__(self, archive: Archive, volume: ArchiveVolume, gid: int, work: Work, asker: Asker) -> None:
        self._archive = archive
        self._volume = volume
        self._gid = gid
        self._work = work
        self._asker = asker

    async def run(self) -> None:
        world, store, volume, work = self._archive.world, self._archive.store, self._volume, self._work
        # Under the lock the base cannot move between the choice of the diffs and the copy they are for.
        async with volume.base_lock:
            state = volume.content.base
            diffs = _choose(volume, self._gid)
            image_bytes = await volume.base_size_lb() * LB_BYTES
            step = self._archive.settings.max_open or DEFAULT_MAX_OPEN
            # The image is passed over once for the copy and once for each step.
            work.total, work.phase = image_bytes * (1 + -(-len(diffs) // step)), "copy"
            await run_to_end(world, store.begin_restore, volume.name, self._gid, work.is_cancelled, self._progress)
        work.phase = "apply"
        for i in range(0, len(diffs), step):
            await run_to_end(world, self._apply, diffs[i : i + step], image_bytes * (1 + i // step))
        self._archive.log.info(f"restore-status:{volume.name}:{state}:{apply_state(state, diffs)}")
        work.phase = "sync"
        self._progress(work.total)
        work.check_cancelled()
        await run_to_end(world, store.commit_restore, volume.name, self._gid)

    def _apply(self, diffs: list[Diff], done_bytes: int) -> None:
        """Writes diffs to the temporary image. Blocks."""
        fd = self._archive.store.open_restore(self._volume.name, self._gid)
        try:
            apply_wdiffs(
                fd,
                os.fstat(fd).st_size // LB_BYTES,
                [self._volume.files.diff_path(diff) for diff in diffs],
                self._archive.settings.discard_type,
                self._work.is_cancelled,
                lambda done_lb: self._progress(done_bytes + done_lb * LB_BYTES),
            )
        finally:
            os.close(fd)

    def _progress(self, done_bytes: int) -> None:
        """Called from threads."""
        work = self._work
        work.done = min(done_bytes, work.total)
        self._asker.progress(work.done, work.total, work.unit, work.phase)
