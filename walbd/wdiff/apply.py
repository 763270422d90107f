"""Applying wdiff files to a volume's image (wdiff-format.md section 9)."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from walbd._core import ffi, lib
from walbd.model.error import Cancelled, StorageFailure, WalbError
from walbd.wdiff.inputs import MergeInputs
from walbd.wdiff.merge import open_inputs
from walbd.wdiff.native import error_of
from walbd.wdiff.threads import run_threads

# One loads and decodes while the other writes.
THREADS = 2

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
    of a few MiB, in whichever thread did one. Raises Cancelled; Corrupted naming the file; NotFound;
    StorageFailure; BadState when a record reaches behind the image. Whenever it ends early, applying the same files
    again completes the image. Blocks."""
    inputs = open_inputs(paths, is_one_log=False)
    try:
        return _Applying(inputs, target_fd, size_lb, discard, cancelled, progress).run()
    finally:
        inputs.close()


class _Applying:
    """One merge being written by several threads."""

    def __init__(
        self,
        inputs: MergeInputs,
        target_fd: int,
        size_lb: int,
        discard: Discard,
        cancelled: Callable[[], bool],
        progress: Callable[[int], None],
    ) -> None:
        self._inputs, self._fd, self._cancelled, self._progress = inputs, target_fd, cancelled, progress
        self._lock = threading.Lock()
        self._is_given_up = False
        self._synced_bytes = 0
        handle = lib.walb_wdiff_apply_new(inputs.handle, target_fd, size_lb, discard, inputs.failure)
        if not handle:
            raise self._error(inputs.failure)
        self._handle = ffi.gc(handle, lib.walb_wdiff_apply_free)

    def _error(self, failure: Any) -> WalbError:
        return error_of(failure, "image", self._inputs.names)

    def run(self) -> ApplyStats:
        """Applies and syncs."""
        run_threads(THREADS, self._work, self._error)
        _sync(self._fd)
        stats, _ = self._stats()
        return stats

    def _stats(self) -> tuple[ApplyStats, int]:
        """What was done, and the address below which the image is complete."""
        raw, done_lb = ffi.new("walb_wdiff_applied *"), ffi.new("uint64_t *")
        lib.walb_wdiff_apply_stats(self._handle, raw, done_lb)
        return ApplyStats(*(getattr(raw, name) for name in ApplyStats.__slots__)), int(done_lb[0])

    def _work(self, failure: Any) -> int:
        """One thread's part; a negative result is a failure of the core."""
        try:
            return self._steps(failure)
        except BaseException:
            self._is_given_up = True
            raise

    def _steps(self, failure: Any) -> int:
        applier = lib.walb_wdiff_applier_new(self._handle, THREADS, failure)
        if not applier:
            return int(failure.code)
        applier = ffi.gc(applier, lib.walb_wdiff_applier_free)
        while not self._is_given_up:
            if self._cancelled():
                raise Cancelled("applying diffs was stopped")
            result = int(lib.walb_wdiff_apply_step(applier, failure))
            if result <= 0:
                return result
            self._after_step()
        return 0

    def _after_step(self) -> None:
        with self._lock:
            stats, done_lb = self._stats()
            self._progress(done_lb)
            wants_sync = stats.written_bytes - self._synced_bytes >= SYNC_INTERVAL_BYTES
            if wants_sync:
                self._synced_bytes = stats.written_bytes
        if wants_sync:
            _sync(self._fd)


def _sync(fd: int) -> None:
    try:
        os.fdatasync(fd)
    except OSError as error:
        raise StorageFailure(f"image: cannot sync: {error.strerror}") from error
