"""The log device and the data device: exclusive ownership, and every operation on them that may block.

Tests replace single methods to inject I/O errors.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from walbd._core import ffi, lib
from walbd.device.ownership import OwnedFile
from walbd.device.user.log_syncer import LogSyncer
from walbd.device.user.pair import refuse_one_for_both
from walbd.model.error import StorageFailure
from walbd.model.limits import LB_BYTES
from walbd.wlog.recovery import invalidate_stale
from walbd.wlog.super_sector import SuperSector, device_size_bytes, write_super_sector

# A pack grows no further with a second record, so that readers of the log need little memory.
MAX_PACK_BYTES = 256 << 10


class DeviceFiles:
    """The two devices of one walb device. All methods block, but for what log_syncer gives."""

    def __init__(self, ldev_path: str, ddev_path: str) -> None:
        self.ldev_path = str(Path(ldev_path).absolute())
        self.ddev_path = str(Path(ddev_path).absolute())
        self._fds: list[int] = []
        refuse_one_for_both(ldev_path, ddev_path)
        try:
            self.log_fd = self._keep(OwnedFile(ldev_path).fd)
            self.data_fd = self._keep(OwnedFile(ddev_path).fd)
            # The kernel reports a failed write-back once for each open file: whoever may sync the log beside others has
            # one of its own, so that each learns of it.
            self._sync_fd, self._super_fd, self._search_fd = [
                self._keep(os.open(ldev_path, os.O_RDWR | os.O_CLOEXEC)) for _ in range(3)
            ]
        except BaseException:
            self.close()
            raise
        self._ring = ffi.new("walb_log_ring *")

    def _keep(self, fd: int) -> int:
        self._fds.append(fd)
        return fd

    def log_size_bytes(self) -> int:
        """Present size of the log device."""
        return device_size_bytes(self.log_fd)

    def data_size_lb(self) -> int:
        """Present size of the data device."""
        return device_size_bytes(self.data_fd) // LB_BYTES

    def use(self, sector: SuperSector) -> None:
        """Writes packs into this ring, under this salt, from now on."""
        self._sector, ring = sector, self._ring
        ring.pbs, ring.salt = sector.pbs, sector.salt
        ring.ring_offset_pb, ring.ring_size_pb = sector.ring_offset_pb, sector.ring_size_pb
        ring.max_pack_pb = MAX_PACK_BYTES // sector.pbs

    def write_log(self, native: bytearray, lsid: int, limit_lsid: int, zero_limit_lsid: int) -> tuple[int, int]:
        """Logs writes (walb_log_write structures) from lsid on, below limit_lsid; returns how many were logged and the
        next lsid. What lies behind them, below zero_limit_lsid, may become zeros."""
        next_lsid = ffi.new("uint64_t *", lsid)
        writes = ffi.from_buffer("walb_log_write[]", native)
        limits = limit_lsid, zero_limit_lsid
        count = lib.walb_device_write_log(self.log_fd, self._ring, writes, len(writes), next_lsid, *limits)
        if count < 0:
            raise StorageFailure(f"cannot write log device {self.ldev_path}: {os.strerror(-count)}")
        return count, next_lsid[0]

    def log_syncer(self) -> LogSyncer:
        """Who makes durable what was written to the log device."""
        return LogSyncer(self._sync_fd, self.ldev_path)

    def clear_stale(self, begin_lsid: int, end_lsid: int) -> None:
        """Zeroes, durably, what redo could take for log among the blocks of these lsids (wlog-format.md 16.5)."""
        try:
            count = invalidate_stale(self._search_fd, self._sector, begin_lsid, end_lsid - begin_lsid)
        except StorageFailure as error:
            error.message = f"log device {self.ldev_path}: {error.message}"
            raise
        if count:
            self._sync(self._search_fd, self.ldev_path)

    def write_data(self, native: bytearray) -> None:
        """Carries out writes (walb_log_write structures) on the data device in the order of the log."""
        writes = ffi.from_buffer("walb_log_write[]", native)
        error = lib.walb_device_write_data(self.data_fd, writes, len(writes))
        if error:
            raise StorageFailure(f"cannot write data device {self.ddev_path}: {os.strerror(-error)}")

    def sync_data(self) -> None:
        """Makes everything written to the data device durable."""
        self._sync(self.data_fd, self.ddev_path)

    def super_sync(self, sector: SuperSector) -> None:
        """A checkpoint in the order of wdev.md section 15.12: data device, super sector, log device."""
        self.sync_data()
        write_super_sector(self._super_fd, sector, sync=False, name=self.ldev_path)
        self._sync(self._super_fd, self.ldev_path)

    def reset(self, sector: SuperSector) -> None:
        """Starts a new log sequence (wdev.md section 15.28): new super sector, then zeros in the block of lsid 0."""
        self.super_sync(sector)
        try:
            os.pwrite(self._super_fd, bytes(sector.pbs), sector.ring_offset_pb * sector.pbs)
        except OSError as error:
            raise StorageFailure(f"cannot write log device {self.ldev_path}: {error.strerror}") from error
        self._sync(self._super_fd, self.ldev_path)

    def read_data(self, buffer: memoryview, offset_bytes: int) -> None:
        """Fills the buffer from the data device."""
        filled = 0
        while filled < len(buffer):
            try:
                count = os.preadv(self.data_fd, [buffer[filled:]], offset_bytes + filled)
            except OSError as error:
                raise StorageFailure(f"cannot read data device {self.ddev_path}: {error.strerror}") from error
            if count == 0:
                raise StorageFailure(f"data device {self.ddev_path} ends at byte {offset_bytes + filled}")
            filled += count

    def has_pack(self, sector: SuperSector, lsid: int) -> bool:
        """True when a pack of this log begins at lsid."""
        offset = (sector.ring_offset_pb + lsid % sector.ring_size_pb) * sector.pbs
        try:
            block = os.pread(self.log_fd, sector.pbs, offset)
        except OSError as error:
            raise StorageFailure(f"cannot read log device {self.ldev_path}: {error.strerror}") from error
        pack = ffi.new("walb_log_pack *")
        return bool(lib.walb_log_pack_parse(block, sector.pbs, sector.salt, lsid, pack) == 0)

    def _sync(self, fd: int, path: str) -> None:
        try:
            os.fdatasync(fd)
        except OSError as error:
            raise StorageFailure(f"cannot sync {path}: {error.strerror}") from error

    def close(self) -> None:
        """Releases both devices."""
        for fd in self._fds:
            with contextlib.suppress(OSError):
                os.close(fd)
        self._fds.clear()
