"""merge (servers.md section 5.10): one diff takes the place of several."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from pathlib import Path

from walbd.archive.archive import Archive
from walbd.archive.asker import Asker
from walbd.archive.received_diff import ReceivedDiff
from walbd.archive.states import MERGE
from walbd.archive.volume import ArchiveVolume
from walbd.model.algebra import merge_all
from walbd.model.compression import CompressionType, CompressOpt
from walbd.model.diff import Diff
from walbd.model.error import BadState
from walbd.model.limits import UINT64_MAX
from walbd.model.selection import by_size, mergeable_from, to_merge_up_to, total_size_bytes
from walbd.net.tasks import run_to_end
from walbd.server.tasks import Slots, Work
from walbd.wdiff.merge import Merger
from walbd.wdiff.reader import of_one_log

COMPRESS = CompressOpt(CompressionType.SNAPPY, 0, 1)
STEP_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class MergeRange:
    """Which diffs: from gid_begin on, those that begin below gid_end, or as many as have max_bytes together."""

    gid_begin: int
    gid_end: int | None = None
    max_bytes: int = 0


async def merge(archive: Archive, name: str, wanted: MergeRange, asker: Asker) -> None:
    """Raises BadState before it is accepted; Cancelled, StorageFailure, Corrupted after, with everything as it was."""
    volume = archive.volumes.get(name)
    volume.check("merge")
    chosen = _choose(volume, wanted)
    same_log, uuid = await archive.world.run(of_one_log, _paths(volume, chosen))
    volume.check("merge")
    if _choose(volume, wanted) != chosen:
        raise BadState(f"wdiffs of {name} are being changed", "try again")
    if same_log < 2:
        raise BadState(
            f"There is no mergeable diff.:{name}:{wanted.gid_begin}",
            f"the next wdiff comes from another log: begin at gid {chosen[1].begin.gid_begin}",
        )
    diffs = chosen[:same_log]
    with (
        archive.works.begin(
            "merge", name, Slots.FOREGROUND, volume.is_cancelled, total=total_size_bytes(diffs)
        ) as work,
        volume.actions.running(MERGE),
    ):
        # The gid is none that an apply could pass: merge and apply exclude each other.
        async with volume.reading("merge", UINT64_MAX, diffs):
            await asker.accept()
            merged = merge_all(diffs)
            archive.log.info(f"merge started:{name}:{merged}:{len(diffs)}")
            with await archive.world.run(volume.files.new_file) as new:
                received = ReceivedDiff(new, uuid, archive.settings.sync_interval_bytes)
                step = _Merge(_paths(volume, diffs), received, work, asker)
                stored = await run_to_end(archive.world, step.run, merged)
            volume.content.diffs.add(stored)
            await volume.drop_diffs(diffs)
        archive.log.info(f"merge succeeded:{name}:{stored.verbose()}")


def _choose(volume: ArchiveVolume, wanted: MergeRange) -> list[Diff]:
    """At least two diffs. Raises BadState."""
    content, name = volume.content, volume.name
    content.check_not_applying(name)
    if wanted.gid_end is None:
        chosen = by_size(mergeable_from(content.diffs, wanted.gid_begin), wanted.max_bytes)
    else:
        chosen = to_merge_up_to(content.diffs, wanted.gid_begin, wanted.gid_end)
    if len(chosen) < 2:
        raise BadState(
            f"There is no mergeable diff.:{name}:{wanted.gid_begin}",
            f"'get diff {name}' shows which diffs are mergeable (M) with the one before",
        )
    return chosen


def _paths(volume: ArchiveVolume, diffs: list[Diff]) -> list[Path]:
    return [volume.files.diff_path(diff) for diff in diffs]


class _Merge:
    """One merge at work; blocks."""

    def __init__(self, paths: list[Path], received: ReceivedDiff, work: Work, asker: Asker) -> None:
        self._paths = paths
        self._received = received
        self._work = work
        self._asker = asker

    def run(self, merged: Diff) -> Diff:
        """Stores the merged diff under its name, durably, and returns it with the size of its file."""
        merger = Merger(self._paths, COMPRESS)
        try:
            buffer = memoryview(bytearray(STEP_BYTES))
            for step in count(1):
                self._work.check_cancelled()
                size = merger.read(buffer)
                if not size:
                    break
                # Verified once more on its way to the file: the inputs are removed after this.
                self._received.feed(buffer[:size])
                self._show(step * STEP_BYTES)
            self._received.complete()
        finally:
            merger.close()
        return self._received.commit(merged)

    def _show(self, done_bytes: int) -> None:
        work = self._work
        work.done = min(done_bytes, work.total)
        self._asker.progress(work.done, work.total, work.unit, work.phase)
