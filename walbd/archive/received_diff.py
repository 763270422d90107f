"""A diff being received: a temporary file that gets its name when it is complete."""

from __future__ import annotations

import dataclasses
import os

from walbd.model.diff import Diff
from walbd.model.error import StorageFailure
from walbd.wdiff.pack_file import PackReceiver
from walbd.world.files import NewFile


class ReceivedDiff:
    """Takes the packs of one diff. All methods block; they raise Corrupted and StorageFailure."""

    def __init__(self, new: NewFile, uuid: bytes, sync_interval_bytes: int) -> None:
        """uuid: that of the log the diff belongs to. The file is synced whenever so many bytes have come, so that the
        last sync is short."""
        self._new = new
        self._receiver = PackReceiver(new.fd, uuid)
        self._sync_interval_bytes = sync_interval_bytes
        self._unsynced_bytes = 0
        self._size_bytes = 0

    def feed(self, data: memoryview) -> None:
        """Takes the next bytes of the pack stream, cut anywhere."""
        self._receiver.feed(data)
        self._unsynced_bytes += len(data)
        if self._unsynced_bytes >= self._sync_interval_bytes:
            self.sync()

    def complete(self) -> None:
        """Ends the file. Raises Corrupted when a pack is cut short."""
        self._size_bytes = self._receiver.finish()

    def commit(self, diff: Diff) -> Diff:
        """Gives the complete file its name, durably; returns the diff with its size."""
        self._new.commit(diff.file_name)
        return dataclasses.replace(diff, size_bytes=self._size_bytes)

    def sync(self) -> None:
        """Makes durable what has come, under its temporary name."""
        try:
            os.fdatasync(self._new.fd)
        except OSError as error:
            raise StorageFailure(f"cannot sync a received diff: {error.strerror}") from error
        self._unsynced_bytes = 0
