"""Redo of a log onto a data device (wlog-format.md sections 11 and 14): applies what is verified, record by record."""

from __future__ import annotations

import mmap
import os

from walbd._core import ffi, lib
from walbd.model.error import StorageFailure
from walbd.model.limits import INVALID_LSID
from walbd.wlog.ring import read_ring
from walbd.wlog.stream import MORE
from walbd.wlog.super_sector import SuperSector, check_pbs

BAD_DATA: int = lib.WALB_LOG_BAD_DATA
IO_ERROR: int = lib.WALB_LOG_IO_ERROR

READ_BYTES = 4 << 20
# The data of one record, which are verified before any of them is applied.
MAX_RECORD_BYTES = 32 << 20


class LogRedo:
    """Applies log bytes to a data device.

    Data are verified record by record before they are written; discards become zeros (a hole where the file system can
    make one) unless ignores_discards. Records that do not lie wholly on the device are skipped and counted in
    outside_count. data_fd None applies nothing, so that the log is only verified. A pack that ends behind limit_lsid is
    none of this log.
    """

    def __init__(
        self,
        pbs: int,
        salt: int,
        begin_lsid: int,
        data_fd: int | None,
        device_size_lb: int,
        *,
        limit_lsid: int = INVALID_LSID,
        ignores_discards: bool = False,
    ) -> None:
        self._redo = ffi.new("walb_log_redo *")
        lib.walb_log_redo_init(
            self._redo,
            check_pbs(pbs),
            salt,
            begin_lsid,
            limit_lsid,
            -1 if data_fd is None else data_fd,
            device_size_lb,
            ignores_discards,
        )
        self.limit_lsid = limit_lsid

    def feed(self, data: memoryview) -> int:
        """Applies whole blocks of log that begin at read_lsid. Returns MORE (go on with blocks at the new read_lsid, at
        least need_pb of them), END, or a negative reason code; BAD_DATA means that record `record` of the pack at
        next_lsid is wrong and everything before it was applied. Raises StorageFailure when the data device fails."""
        result = int(lib.walb_log_redo_feed(self._redo, ffi.from_buffer(data), len(data) // self._redo.pbs))
        if result == IO_ERROR:
            raise StorageFailure(
                f"cannot write to the data device, lsid {self.next_lsid}: " + os.strerror(self._redo.io_errno)
            )
        return result

    @property
    def next_lsid(self) -> int:
        """End of the packs that were applied wholly."""
        return int(self._redo.next_lsid)

    @property
    def read_lsid(self) -> int:
        """The block that is wanted next."""
        return int(self._redo.read_lsid)

    @property
    def need_pb(self) -> int:
        """How many blocks are wanted at read_lsid at least."""
        return int(self._redo.need_pb)

    @property
    def record(self) -> int:
        """Index of the record reached in the pack at next_lsid."""
        return int(self._redo.record)

    @property
    def header(self) -> bytes:
        """The last header block as it came, valid or not."""
        return bytes(ffi.buffer(self._redo.block, self._redo.pbs))

    @property
    def pack_count(self) -> int:
        """Packs applied wholly."""
        return int(self._redo.n_packs)

    @property
    def normal_lb(self) -> int:
        """Blocks written."""
        return int(self._redo.normal_lb)

    @property
    def discard_lb(self) -> int:
        """Blocks discarded."""
        return int(self._redo.discard_lb)

    @property
    def padding_pb(self) -> int:
        """Padding passed over."""
        return int(self._redo.padding_pb)

    @property
    def outside_count(self) -> int:
        """Records skipped because they do not lie wholly on the device."""
        return int(self._redo.n_outside)


def redo_ring(ldev_fd: int, super_sector: SuperSector, redo: LogRedo) -> int:
    """Feeds the ring from redo.read_lsid on until the log ends; returns the result that ended it.

    MORE means that the log ends exactly at the limit of the redo. Raises StorageFailure on any read error: a block that
    cannot be read is never the end of the log."""
    pbs, ring_size_pb = super_sector.pbs, super_sector.ring_size_pb
    window = memoryview(mmap.mmap(-1, MAX_RECORD_BYTES))
    while True:
        left_pb = min(ring_size_pb, redo.limit_lsid - redo.read_lsid)
        if left_pb < redo.need_pb:
            return MORE
        part = window[: min(left_pb, max(redo.need_pb, READ_BYTES // pbs)) * pbs]
        read_ring(ldev_fd, super_sector, redo.read_lsid, part)
        result = redo.feed(part)
        if result != MORE:
            return result
