"""Reads verified log from a ring that is being written (wlog-format.md section 12): what a storage server ships."""

from __future__ import annotations

from walbd.model.error import Corrupted, InvalidArgument
from walbd.wlog.ring import read_ring
from walbd.wlog.stream import END, LogStream, reason
from walbd.wlog.super_sector import SuperSector


class LogSource:
    """The log from begin_lsid (a pack boundary) on, as bytes: whole packs end to end, taken over several reads.

    Everything below the limit of a read must be valid, so that a header or data that are not raise Corrupted: never the
    end of the log. bad_header is then the header block concerned. The caller checks the device for overflow.
    """

    def __init__(self, ldev_fd: int, super_sector: SuperSector, begin_lsid: int) -> None:
        self._fd = ldev_fd
        self._super_sector = super_sector
        self._stream = LogStream(super_sector.pbs, super_sector.salt, begin_lsid)
        self._lsid = begin_lsid
        self.bad_header: bytes | None = None

    @property
    def end_lsid(self) -> int:
        """End of the whole packs that were read."""
        return self._stream.next_lsid

    def read(self, buffer: memoryview, limit_lsid: int) -> int:
        """Fills the buffer with the next log bytes, of packs that end at or before limit_lsid; returns how many.

        0 means that there is no such pack left. A read may end inside a pack (packs are up to 256 MiB long); the next
        one goes on there. The buffer should have 1 MiB or more, aligned for O_DIRECT where the descriptor has it.
        The checksum of a record is known when its last byte is read, so that bytes of a damaged record may have been
        returned by earlier reads when Corrupted is raised. Blocks: call it through World.run.
        """
        pbs = self._super_sector.pbs
        end_lsid = limit_lsid if self._stream.is_at_boundary else max(limit_lsid, self._stream.pack_end_lsid)
        size_pb = min(len(buffer) // pbs, end_lsid - self._lsid, self._super_sector.ring_size_pb)
        if len(buffer) < pbs:
            raise InvalidArgument(f"buffer of {len(buffer)} bytes is smaller than a block of the log")
        if size_pb <= 0:
            return 0
        part = buffer[: size_pb * pbs]
        read_ring(self._fd, self._super_sector, self._lsid, part)
        verified = self._stream.verify(part, limit_lsid)
        if verified.result < 0 or verified.result == END:
            self.bad_header = self._stream.header
            raise Corrupted(
                f"log pack at lsid {self._stream.next_lsid}: "
                + (reason(verified.result) if verified.result < 0 else "end block inside the log"),
                "the log device was overwritten or is damaged; a hash backup brings the archive up to date again",
            )
        self._lsid += verified.used_bytes // pbs
        return verified.used_bytes
