"""Writing log: on the event loop when that takes no waiting, else in a thread."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from walbd.device.user.device_files import DeviceFiles
from walbd.device.user.worker import Worker
from walbd.device.user.writes import Writes

# So much is copied into the page cache sooner than a thread is woken and has answered.
MAX_AT_ONCE_BYTES = 256 << 10
# A write that took longer has waited for something.
SLOW_SEC = 0.002

LogResult = tuple[int, int] | BaseException
"""How many records were logged and the next lsid, or why none was."""


@dataclass(slots=True)
class LogJob:
    """Writes to be logged from lsid on, below limit_lsid (DeviceFiles.write_log)."""

    writes: list[Writes]
    native: bytearray
    lsid: int
    limit_lsid: int
    zero_limit_lsid: int


class LogWriter:
    """Carries out one job at a time."""

    def __init__(self, files: DeviceFiles) -> None:
        self._files = files
        self._thread: Worker[tuple[int, int]] = Worker("walb-log")
        self._is_slow = False

    def takes_no_waiting(self, job: LogJob) -> bool:
        """True when `run` will return at once, as far as one can tell: the page cache takes small writes, unless the
        disk cannot follow. The caller knows of no sync that is under way."""
        size_bytes = sum([each.log_bytes for each in job.writes])
        return not (self._is_slow or size_bytes > MAX_AT_ONCE_BYTES)

    def run(self, job: LogJob) -> LogResult:
        """Writes here and now."""
        try:
            return self._write(job)
        except Exception as error:
            return error

    def submit(self, job: LogJob, done: Callable[[LogResult], None]) -> None:
        """The same in the thread; calls done on the loop."""
        self._thread.submit(lambda: self._write(job), done)

    def _write(self, job: LogJob) -> tuple[int, int]:
        begin = time.monotonic()
        result = self._files.write_log(job.native, job.lsid, job.limit_lsid, job.zero_limit_lsid)
        self._is_slow = time.monotonic() - begin > SLOW_SEC
        return result

    def stop(self) -> None:
        """Ends the thread."""
        self._thread.stop()
