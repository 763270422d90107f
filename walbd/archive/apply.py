"""apply (servers.md section 5.9): the base image takes in the oldest diffs, which are removed then.

The file `base` says `<B-->E>` before the first block is written and `<E>` when all of them are durable. Whatever ends
the work in between, the next apply of any gid completes it.
"""

from __future__ import annotations

import os

from walbd.archive.archive import Archive
from walbd.archive.asker import Asker
from walbd.archive.cold import cold_for_apply, cold_to_base, drop_cold_before, settle
from walbd.archive.image_errors import naming
from walbd.archive.states import APPLY
from walbd.archive.volume import ArchiveVolume
from walbd.model.algebra import apply_state, begin_applying
from walbd.model.changes import ended_by
from walbd.model.diff import Diff
from walbd.model.error import BadState
from walbd.model.limits import LB_BYTES
from walbd.model.selection import to_apply
from walbd.model.state import MetaState
from walbd.net.tasks import run_to_end
from walbd.server.tasks import Slots, Work
from walbd.wdiff.apply import apply_wdiffs
from walbd.world.throttle import Throttle


async def apply(archive: Archive, name: str, gid: int, asker: Asker) -> None:
    """Moves the base up to the last snapshot that is not beyond gid. Raises BadState before it is accepted; Cancelled,
    StorageFailure, Corrupted after, with the base in applying state: the same command goes on from there."""
    volume = archive.volumes.get(name)
    volume.check("apply")
    content = volume.content
    chosen = to_apply(content.diffs, content.base, gid)
    if not chosen:
        raise BadState(
            f"gid not applicable:{name}:{gid}:{content.base}", f"'get applicable-diff {name}' lists what can be applied"
        )
    # Diffs that arrive meanwhile are not for this apply: readers were told how far it goes.
    target_gid = apply_state(content.base, chosen).snapshot_begin.gid_begin
    with (
        volume.diff_use.applying(target_gid),
        archive.works.begin("apply", name, Slots.FOREGROUND, volume.is_cancelled) as work,
        volume.actions.running(APPLY),
    ):
        await asker.accept()
        archive.log.info(f"apply started:{name}:{gid}")
        begin_sec = archive.world.monotonic()
        await _Apply(archive, volume, target_gid, work, asker).run()
        archive.log.info(f"apply succeeded:{name}:{gid}:{content.base}:{archive.world.monotonic() - begin_sec:.3f}")


class _Apply:
    """One apply at work."""

    def __init__(self, archive: Archive, volume: ArchiveVolume, gid: int, work: Work, asker: Asker) -> None:
        self._archive = archive
        self._volume = volume
        self._gid = gid
        self._work = work
        self._asker = asker
        self._throttle = Throttle(archive.settings.apply_sleep_percent, work.is_cancelled)
        self._image_lb = 0

    async def run(self) -> None:
        """The newest cold image that leads there becomes the base; then one step after the other, each of at most
        -maxopen diffs."""
        volume, work = self._volume, self._work
        content = volume.content
        await settle(self._archive, volume)
        if (cold_gid := cold_for_apply(volume, self._gid)) is not None:
            work.phase = "cold to base"
            await cold_to_base(self._archive, volume, cold_gid)
        self._image_lb = await volume.base_size_lb()
        image_bytes = self._image_lb * LB_BYTES
        step = self._archive.settings.max_open_files
        count = len(to_apply(content.diffs, content.base, self._gid))
        work.total, work.phase = image_bytes * -(-count // step), "apply"
        steps = 0
        while diffs := to_apply(content.diffs, content.base, self._gid, step):
            work.check_cancelled()
            await self._step(diffs, image_bytes * steps)
            steps += 1

    async def _step(self, diffs: list[Diff], done_bytes: int) -> None:
        volume, world = self._volume, self._archive.world
        content = volume.content
        after = apply_state(content.base, diffs)
        await self._store(begin_applying(content.base, diffs))
        await run_to_end(world, self._write, diffs, done_bytes)
        await self._store(after)
        gid = after.snapshot_begin.gid_begin
        await volume.drop_diffs(ended_by(content.diffs, gid))
        await drop_cold_before(self._archive, volume, gid)

    async def _store(self, state: MetaState) -> None:
        """Memory follows what is durable."""
        await run_to_end(self._archive.world, self._volume.files.save_base, state)
        self._volume.content.base = state

    def _write(self, diffs: list[Diff], done_bytes: int) -> None:
        """Writes diffs to the base image and syncs it. Blocks."""
        volume, work = self._volume, self._work

        def progress(done_lb: int) -> None:
            work.done = min(done_bytes + done_lb * LB_BYTES, work.total)
            self._asker.progress(work.done, work.total, work.unit, work.phase)
            self._throttle.pause()

        with naming(volume.store, f"apply:{volume.name}:{self._gid}"):
            fd = volume.store.open_base(volume.name)
            try:
                apply_wdiffs(
                    fd,
                    self._image_lb,
                    [volume.files.diff_path(diff) for diff in diffs],
                    self._archive.settings.discard_type,
                    work.is_cancelled,
                    progress,
                )
            finally:
                os.close(fd)
