"""restore and del-restored (servers.md section 5.8).

A restored volume is a copy of the base image to which the chosen diffs are written; base image and wdiffs are never
changed. It gets its name when it is complete and durable, so that an interrupted restore leaves a temporary image only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from walbd.archive.archive import Archive
from walbd.archive.asker import Asker
from walbd.archive.choice import Start, snapshot_at, starts_of_restore
from walbd.archive.cold import keep_cold, keep_newest_cold
from walbd.archive.image_errors import naming
from walbd.archive.states import RESTORE
from walbd.archive.volume import ArchiveVolume
from walbd.model.algebra import apply_state
from walbd.model.diff import Diff
from walbd.model.error import AlreadyExists
from walbd.model.limits import LB_BYTES
from walbd.model.timetext import pretty
from walbd.net.tasks import run_to_end
from walbd.server.tasks import Slots, Work
from walbd.wdiff.apply import apply_wdiffs


@dataclass(frozen=True, slots=True)
class Time:
    """A moment in UNIX seconds, where a snapshot is wanted."""

    timestamp: int


GidOrTime = int | Time


async def restore(archive: Archive, name: str, wanted: GidOrTime, asker: Asker) -> None:
    """Makes the restored volume of a gid, or of the newest snapshot that is not later than a time; the user is told
    which. Raises BadState, AlreadyExists, NotFound before it is accepted; Cancelled, StorageFailure, Corrupted
    after."""
    volume = archive.volumes.get(name)
    volume.check("restore")
    restored_gids = await archive.world.run(archive.store.restored_gids, name)
    volume.check("restore")
    gid, told = _resolve(volume, wanted)
    if gid in restored_gids:
        raise AlreadyExists(f"already restored:{name}:{gid}", f"'del-restored {name} {gid}' removes it")
    starts = starts_of_restore(volume, gid)
    async with volume.reading("restore", gid, [diff for start in starts for diff in start.diffs]):
        with (
            archive.works.begin("restore", name, Slots.FOREGROUND, volume.is_cancelled) as work,
            volume.actions.running(RESTORE),
        ):
            await asker.accept(*told)
            archive.log.info(f"restore started:{name}:{gid}")
            begin_sec = archive.world.monotonic()
            try:
                await _Restore(archive, volume, gid, starts, work, asker).run()
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


def _resolve(volume: ArchiveVolume, wanted: GidOrTime) -> tuple[int, list[str]]:
    """The gid, and what the user has to be told about it."""
    if isinstance(wanted, int):
        return wanted, []
    found = snapshot_at(volume, wanted.timestamp)
    return found.gid, [f"{found.gid} {pretty(found.timestamp)}"]


class _Restore:
    """One restore at work."""

    def __init__(
        self, archive: Archive, volume: ArchiveVolume, gid: int, starts: list[Start], work: Work, asker: Asker
    ) -> None:
        self._archive = archive
        self._volume = volume
        self._gid = gid
        self._starts = starts
        self._work = work
        self._asker = asker
        self._image_lb = 0

    async def run(self) -> None:
        archive, volume, work = self._archive, self._volume, self._work
        step = archive.settings.max_open_files
        # An apply may write to the base meanwhile: whatever it writes lies below these diffs.
        async with volume.base_lock:
            self._image_lb = await volume.base_size_lb()
            image_bytes = self._image_lb * LB_BYTES
            start = self._start()
            diffs = start.diffs
            # The image is passed over once for the copy and once for each step.
            work.total, work.phase = image_bytes * (1 + -(-len(diffs) // step)), "copy"
            await run_to_end(archive.world, self._begin, start)
        work.phase = "apply"
        for i in range(0, len(diffs), step):
            await run_to_end(archive.world, self._apply, diffs[i : i + step], image_bytes * (1 + i // step))
        state = apply_state(start.state, diffs)
        archive.log.info(f"restore-status:{volume.name}:{start.state}:{state}")
        work.phase = "sync"
        self._progress(work.total)
        work.check_cancelled()
        await keep_cold(archive, volume, state)
        await run_to_end(archive.world, self._commit)
        if archive.settings.keep_one_cold_snapshot:
            await keep_newest_cold(archive, volume)

    def _start(self) -> Start:
        """The best of those whose image is still there."""
        cold_times = self._volume.content.cold_times
        return next(start for start in self._starts if start.cold_gid is None or start.cold_gid in cold_times)

    def _naming(self) -> AbstractContextManager[None]:
        return naming(self._archive.store, f"restore:{self._volume.name}:{self._gid}")

    def _begin(self, start: Start) -> None:
        """Makes the temporary image. Blocks."""
        store, name, work = self._archive.store, self._volume.name, self._work
        with self._naming():
            if start.cold_gid is not None and store.cold:
                store.cold.begin_restore(name, self._gid, start.cold_gid)
            else:
                store.begin_restore(name, self._gid, work.is_cancelled, self._progress)

    def _commit(self) -> None:
        """Blocks."""
        with self._naming():
            self._archive.store.commit_restore(self._volume.name, self._gid)

    def _apply(self, diffs: list[Diff], done_bytes: int) -> None:
        """Writes diffs to the temporary image. Blocks."""
        with self._naming(), self._opened() as fd:
            apply_wdiffs(
                fd,
                self._image_lb,
                [self._volume.files.diff_path(diff) for diff in diffs],
                self._archive.settings.discard_type,
                self._work.is_cancelled,
                lambda done_lb: self._progress(done_bytes + done_lb * LB_BYTES),
            )

    @contextmanager
    def _opened(self) -> Iterator[int]:
        fd = self._archive.store.open_restore(self._volume.name, self._gid)
        try:
            yield fd
        finally:
            os.close(fd)

    def _progress(self, done_bytes: int) -> None:
        """Called from threads."""
        work = self._work
        work.done = min(done_bytes, work.total)
        self._asker.progress(work.done, work.total, work.unit, work.phase)
