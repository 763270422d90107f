"""The writes that are in the log and not yet on the data device: reads must see them (wdev.md section 2)."""

from __future__ import annotations

from operator import attrgetter

from walbd.device.user.block_io import Piece
from walbd.model.limits import LB_BYTES

REGION_LB = 256
# A longer piece (a discard of half a disk) is kept in a list of its own instead of in each of its regions.
MAX_REGIONS = 64
_order = attrgetter("order")


class PendingSet:
    """Finds pieces by address, through the 128 KiB regions they touch."""

    def __init__(self) -> None:
        self._regions: dict[int, list[Piece]] = {}
        self._long: list[Piece] = []
        self._count = 0

    def __bool__(self) -> bool:
        return bool(self._regions or self._long)

    def add(self, piece: Piece) -> None:
        """Adds the newest piece."""
        self._count += 1
        piece.order = self._count
        regions = _regions(piece.offset_lb, piece.size_lb)
        if len(regions) > MAX_REGIONS:
            self._long.append(piece)
            return
        for region in regions:
            self._regions.setdefault(region, []).append(piece)

    def remove(self, piece: Piece) -> None:
        """Removes a piece that is on the data device."""
        regions = _regions(piece.offset_lb, piece.size_lb)
        if len(regions) > MAX_REGIONS:
            self._long.remove(piece)
            return
        for region in regions:
            pieces = self._regions[region]
            pieces.remove(piece)
            if not pieces:
                del self._regions[region]

    def overlapping(self, offset_lb: int, size_lb: int) -> list[Piece]:
        """The pieces that touch a range, oldest first."""
        if not self:
            return []
        found = {
            id(piece): piece
            for region in _regions(offset_lb, size_lb)
            for piece in self._regions.get(region, ())
            if _touches(piece, offset_lb, size_lb)
        }
        found.update({id(piece): piece for piece in self._long if _touches(piece, offset_lb, size_lb)})
        return sorted(found.values(), key=_order)


def _regions(offset_lb: int, size_lb: int) -> range:
    return range(offset_lb // REGION_LB, (offset_lb + size_lb - 1) // REGION_LB + 1)


def _touches(piece: Piece, offset_lb: int, size_lb: int) -> bool:
    return piece.offset_lb < offset_lb + size_lb and offset_lb < piece.offset_lb + piece.size_lb


def overlay(buffer: memoryview, offset_lb: int, pieces: list[Piece]) -> None:
    """Copies what pieces (oldest first) hold of the range into the buffer that was read from offset_lb on."""
    end_lb = offset_lb + len(buffer) // LB_BYTES
    for piece in pieces:
        begin = max(offset_lb, piece.offset_lb)
        end = min(end_lb, piece.offset_lb + piece.size_lb)
        target = buffer[(begin - offset_lb) * LB_BYTES : (end - offset_lb) * LB_BYTES]
        if piece.data is None:
            target[:] = bytes(len(target))
        else:
            at = (begin - piece.offset_lb) * LB_BYTES
            target[:] = piece.data[at : at + len(target)]
