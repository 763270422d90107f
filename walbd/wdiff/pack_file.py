"""Sorted wdiff files from packs that come in (wdiff-format.md sections 3 and 10)."""

from __future__ import annotations

import os

from walbd._core import ffi, lib
from walbd.model.error import Corrupted, StorageFailure
from walbd.wdiff.native import Bytes, error_of, new_failure


class PackReceiver:
    """Writes a sorted wdiff file from a stream of packs: file header, the packs unchanged, end pack.

    Everything is verified on arrival: checksums of headers and data, order and overlap within and across packs, sizes.
    The file is complete only after `finish`; on any error throw it away. Blocks: call it through World.run."""

    def __init__(self, fd: int, uuid: bytes) -> None:
        """fd is an empty file."""
        self._fd = fd
        self._failure = new_failure()
        self._state = ffi.new("walb_wdiff_verifier *")
        lib.walb_wdiff_verifier_init(self._state)
        header = bytearray(lib.WALB_WDIFF_FILE_HEADER_BYTES)
        lib.walb_wdiff_build_header(ffi.from_buffer(header), lib.WALB_WDIFF_SORTED, uuid)
        self._append(header)

    def feed(self, data: Bytes) -> None:
        """Takes the next bytes, cut anywhere. Raises Corrupted naming offset and field, StorageFailure."""
        if lib.walb_wdiff_receive(self._state, self._fd, ffi.from_buffer(data), len(data), self._failure):
            raise error_of(self._failure, "received diff")

    def finish(self) -> int:
        """Completes the file (not synced) and returns its size in bytes. Raises Corrupted when a pack is cut short."""
        if not lib.walb_wdiff_verifier_is_complete(self._state):
            raise Corrupted(f"received diff: offset {self._state.offset}: the pack is cut short")
        end = bytearray(lib.WALB_WDIFF_PACK_HEADER_BYTES)
        lib.walb_wdiff_build_end(ffi.from_buffer(end))
        self._append(end)
        return int(self._state.offset) + len(end)

    def _append(self, data: bytearray) -> None:
        try:
            written = os.write(self._fd, data)
        except OSError as error:
            raise StorageFailure(f"received diff: cannot write: {error.strerror}") from error
        if written != len(data):
            raise StorageFailure("received diff: cannot write: no space left")
