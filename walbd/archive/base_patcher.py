"""Writing packs to a base image as they come (resync)."""

from __future__ import annotations

import os
from pathlib import Path

from walbd.model.error import StorageFailure
from walbd.wdiff.apply import apply_wdiffs
from walbd.wdiff.pack_file import PackReceiver

# Written at once, from memory; the image is synced each time.
BATCH_BYTES = 32 << 20


class BasePatcher:
    """Verifies packs, keeps up to BATCH_BYTES of them in memory, and writes them. All methods block; they raise
    Corrupted and StorageFailure."""

    def __init__(self, fd: int, size_lb: int, uuid: bytes) -> None:
        self._fd = fd
        self._size_lb = size_lb
        self._uuid = uuid
        self._batch_fd = -1
        self._batch: PackReceiver | None = None
        self._batch_bytes = 0

    def feed(self, packs: memoryview) -> None:
        """Takes whole packs."""
        if self._batch is None:
            try:
                self._batch_fd = os.memfd_create("walb-resync", os.MFD_CLOEXEC)
            except OSError as error:
                raise StorageFailure(f"no memory for a resync: {error.strerror}") from error
            self._batch = PackReceiver(self._batch_fd, self._uuid)
        self._batch.feed(packs)
        self._batch_bytes += len(packs)
        if self._batch_bytes >= BATCH_BYTES:
            self.finish()

    def finish(self) -> None:
        """Writes what is left and syncs the image."""
        if self._batch is None:
            return
        self._batch.finish()
        apply_wdiffs(self._fd, self._size_lb, [Path(f"/proc/self/fd/{self._batch_fd}")])
        self.close()

    def close(self) -> None:
        """Forgets what was not written; harmless when there is nothing."""
        if self._batch is not None:
            os.close(self._batch_fd)
            self._batch, self._batch_bytes = None, 0
