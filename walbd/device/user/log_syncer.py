"""Makes the log durable, in a thread of the C core: whoever waits for a sync waits for little else."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from walbd._core import ffi, lib
from walbd.model.error import StorageFailure

LIMITS_HINT = "raise the limits of open files and processes (LimitNOFILE and TasksMax of the service, or ulimit)"
Synced = Callable[[StorageFailure | None], None]


class LogSyncer:
    """Syncs one file, one sync at a time. Create it on the running loop; the file must be open until `stop`."""

    def __init__(self, fd: int, path: str) -> None:
        self.is_busy = False
        """A sync is under way."""
        self._path = path
        self._is_stopped = False
        self._done: Synced | None = None
        try:
            self._event_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        except OSError as error:
            raise StorageFailure(f"no event to sync {path}: {error.strerror}", LIMITS_HINT) from error
        self._thread = lib.walb_sync_thread_new(fd, self._event_fd)
        if self._thread == ffi.NULL:
            os.close(self._event_fd)
            raise StorageFailure(f"no thread to sync {path}: {os.strerror(ffi.errno)}", LIMITS_HINT)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._event_fd, self._ended)

    def begin(self, done: Synced) -> None:
        """Syncs all that is in the file now; done is called on the loop, with the failure if there is one. After stop
        nothing is begun any more."""
        self.is_busy, self._done = True, done
        if not self._is_stopped:
            lib.walb_sync_thread_begin(self._thread)

    def _ended(self) -> None:
        os.eventfd_read(self._event_fd)
        done = self._done
        self.is_busy, self._done = False, None
        assert done is not None
        error = lib.walb_sync_thread_result(self._thread)
        done(StorageFailure(f"cannot sync {self._path}: {os.strerror(-error)}") if error else None)

    def stop(self) -> None:
        """Waits for a sync under way, whose end nobody is told, and ends the thread."""
        if self._is_stopped:
            return
        self._is_stopped = True
        lib.walb_sync_thread_free(self._thread)
        self._loop.remove_reader(self._event_fd)
        os.close(self._event_fd)
