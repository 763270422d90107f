"""Applying wdiff files to a volume's image (wdiff-format.md section 9)."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from walbd._core import ffi, lib
from walbd.model.error import Cancelled, StorageFailure
from walbd.wdiff.inputs import MergeInputs
from walbd.wdiff.merge import open_inputs

# The image is synced after so many bytes, so that the end does not take long.
SYNC_INTERVAL_BYTES = 1 << 30


class Discard(IntEnum):
    """What a discard record does to the image: it becomes zeros; nothing; or the device decides what is read there
    (BLKDISCARD; zeros where there is none)."""

    ZERO = 0
    IGNORE = 1
    PASSDOWN = 2


@dataclass(frozen=True, slots=True)
class ApplyStats:
    """Pieces of the merged diffs by kind, and what was done with them."""

    n_normal: int
    n_zero: int
    n_discard: int
    written_bytes: int
    zeroed_bytes: int
    ignored_bytes: int


def apply_wdiffs(
    target_fd: int,
    size_lb: int,
    paths: Sequence[Path],
    discard: Discard = Discard.ZERO,
    cancelled: Callable[[], bool] = lambda: False,
    progress: Callable[[int], None] = lambda _: None,
) -> ApplyStats:
    """Writes the merge of the files, oldest first, to an image of size_lb blocks, and syncs it. target_fd is a file or
    block device opened for writing, without O_DIRECT.

    `cancelled` is asked, and `progress` told the address (in blocks) below which the image is complete, between steps
    of a few MiB. Raises Cancelled; Corrupted naming the file; NotFound; StorageFailure; BadState when a record reaches
    behind the image. Whenever it ends early, applying the same files again completes the image. Blocks."""
    inputs = open_inputs(paths)
    try:
        return _apply(inputs, target_fd, size_lb, discard, cancelled, progress)
    finally:
        inputs.close()


def _apply(
    inputs: MergeInputs,
    target_fd: int,
    size_lb: int,
    discard: Discard,
    cancelled: Callable[[], bool],
    progress: Callable[[int], None],
) -> ApplyStats:
    handle = lib.walb_wdiff_apply_new(inputs.handle, target_fd, size_lb, discard, inputs.failure)
    if not handle:
        raise inputs.error("image")
    handle = ffi.gc(handle, lib.walb_wdiff_apply_free)
    done_lb = ffi.new("uint64_t *")
    stats = ffi.new("walb_wdiff_applied *")
    synced_bytes = 0
    result = 1
    while result > 0:
        if cancelled():
            raise Cancelled("applying diffs was stopped")
        result = lib.walb_wdiff_apply_step(handle, done_lb, inputs.failure)
        if result < 0:
            raise inputs.error("image")
        progress(done_lb[0])
        lib.walb_wdiff_apply_stats(handle, stats)
        if stats.written_bytes - synced_bytes >= SYNC_INTERVAL_BYTES:
            synced_bytes = stats.written_bytes
            _sync(target_fd)
    _sync(target_fd)
    return ApplyStats(*(getattr(stats, name) for name in ApplyStats.__slots__))


def _sync(fd: int) -> None:
    try:
        os.fdatasync(fd)
    except OSError as error:
        raise StorageFailure(f"image: cannot sync: {error.strerror}") from error
