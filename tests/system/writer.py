"""Writes that go on while a test does something else."""

from __future__ import annotations

import threading
import time

from demo.group import wait_until
from tests.system.backup_group import BackedUpVolume
from walbd.model.error import PeerUnreachable


class Writer:
    """Writes to the device of a volume all the time. With `paused()` nothing is written, and the volume's oracle is
    what the device must contain."""

    def __init__(self, volume: BackedUpVolume) -> None:
        self.count = 0
        self._volume = volume
        self._lock = threading.Lock()
        self._is_ended = False
        self._device_is_there = threading.Event()
        self._device_is_there.set()
        self._crash_is_expected = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.error: BaseException | None = None

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_ended = True
        self._device_is_there.set()
        self._thread.join(20)
        assert not self._thread.is_alive()
        if self.error:
            raise self.error

    def paused(self) -> threading.Lock:
        """A context manager."""
        return self._lock

    def expect_crash(self) -> None:
        """From now on a broken connection is no error; `device_is_back` must follow."""
        self._crash_is_expected = True
        self._device_is_there.clear()

    def device_is_back(self) -> None:
        """The device was restarted."""
        self._device_is_there.set()

    def wait_progress(self) -> None:
        """Until something more was written."""
        before = self.count
        wait_until(lambda: self.count > before or self.error is not None, 20, "writes go on")

    def _run(self) -> None:
        try:
            while not self._is_ended:
                with self._lock:
                    self._write_once()
                self.count += 1
                time.sleep(0.002)  # lets others have the lock
        except BaseException as error:
            self.error = error

    def _write_once(self) -> None:
        volume = self._volume
        length = volume.random.randrange(512, 64 << 10, 512)
        offset = volume.random.randrange(0, volume.size_bytes - length, 512)
        data = volume.random.randbytes(length)
        while True:
            try:
                volume.nbd.write(offset, data, fua=True)
                break
            except PeerUnreachable:
                # What was not acknowledged may be there or not: writing it again makes it certain.
                if not self._crash_is_expected:
                    raise
                volume.disconnect()
                if not self._device_is_there.wait(20):
                    raise
        volume.content[offset : offset + length] = data
