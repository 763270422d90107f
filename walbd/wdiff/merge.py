"""Merging wdiff files to a stream of packs (wdiff-format.md sections 7 and 10)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from walbd._core import ffi, lib
from walbd.model.compression import CompressOpt
from walbd.model.error import StorageFailure
from walbd.model.limits import MAX_IO_LB
from walbd.wdiff.inputs import MergeInputs, open_wdiff
from walbd.wdiff.native import Bytes
from walbd.wdiff.sorted_output import WdiffStatistics, write_sorted

# More files than this are merged in stages, through temporary files without a name beside them. A stage of a stage has
# its own files open beside the results of the outer one: a million files need no more than three times this.
MAX_OPEN_INPUTS = 80


class PackStream:
    """What a merge gives, as packs back to back."""

    def __init__(self, inputs: MergeInputs, compress: CompressOpt) -> None:
        self._inputs = inputs
        packer = lib.walb_wdiff_packer_new(inputs.handle, compress.type, compress.level, inputs.failure)
        if not packer:
            raise inputs.error()
        self._packer = ffi.gc(packer, lib.walb_wdiff_packer_free)

    def read(self, buffer: Bytes) -> int:
        """Fills the buffer with the next bytes; returns how many, fewer than its size only at the end, 0 behind it.

        Raises Corrupted naming file, offset and field, StorageFailure."""
        place = ffi.from_buffer(buffer, require_writable=True)
        with place:
            n = int(lib.walb_wdiff_packer_read(self._packer, place, len(place), self._inputs.failure))
        if n < 0:
            raise self._inputs.error()
        return n


def open_inputs(paths: Sequence[Path], max_io_lb: int = MAX_IO_LB, *, is_one_log: bool = True) -> MergeInputs:
    """The merge of files, oldest first; normal records are cut to max_io_lb blocks (0: not). Those of an archive's
    volume may be of several logs: each backup begins a new one.

    Raises NotFound, StorageFailure, and Corrupted naming the file."""
    if len(paths) <= MAX_OPEN_INPUTS:
        opened = [open_wdiff(path) for path in paths]
        return MergeInputs(opened, [str(path) for path in paths], max_io_lb, is_one_log=is_one_log)
    files, names = [], []
    size = max(MAX_OPEN_INPUTS, -(-len(paths) // MAX_OPEN_INPUTS))
    for group in (paths[at : at + size] for at in range(0, len(paths), size)):
        files.append(_stage(group, max_io_lb, is_one_log))
        names.append(f"merge of {group[0]} to {group[-1].name}")
    return MergeInputs(files, names, max_io_lb, is_one_log=is_one_log)


def _stage(paths: Sequence[Path], max_io_lb: int, is_one_log: bool) -> FileIO:
    """The merge as a temporary file that vanishes when it is closed."""
    inputs = open_inputs(paths, max_io_lb, is_one_log=is_one_log)
    try:
        with tempfile.TemporaryFile(dir=paths[0].parent, buffering=0) as file:
            write_sorted(inputs.handle, inputs.uuid, CompressOpt(), file.fileno(), inputs.error_of)
            return FileIO(os.dup(file.fileno()), "rb")
    except OSError as error:
        raise StorageFailure(f"cannot merge in {paths[0].parent}: {error.strerror}") from error
    finally:
        inputs.close()


@dataclass(frozen=True, slots=True)
class Merged:
    """A merge that was written: uuid and size of the file, and what went in and came out."""

    uuid: bytes
    size_bytes: int
    inputs: WdiffStatistics
    output: WdiffStatistics


def merge_to_file(paths: Sequence[Path], out_fd: int, compress: CompressOpt, max_io_lb: int = MAX_IO_LB) -> Merged:
    """Merges files, oldest first, to a sorted wdiff, written to an empty file or a pipe (not synced) by
    compress.threads threads. Normal records are cut to max_io_lb blocks (0: not). Blocks.

    Raises NotFound, StorageFailure, and Corrupted naming file, offset and field."""
    inputs = open_inputs(paths, max_io_lb)
    try:
        size, output = write_sorted(inputs.handle, inputs.uuid, compress, out_fd, inputs.error_of)
        return Merged(inputs.uuid, size, inputs.statistics(), output)
    finally:
        inputs.close()


class Merger:
    """The merge of wdiff files as a stream of packs back to back: no file header, no end pack.

    Memory depends on neither number nor size of the files. Stored bytes that are still a whole record are passed on as
    they are when they are uncompressed or compressed at least as strongly as wanted. Hidden data are never read.
    Blocks: call it through World.run.

    uuid: that of the files, 16 bytes (all-zero: unknown)."""

    def __init__(self, paths: Sequence[Path], compress: CompressOpt) -> None:
        """Paths are oldest first. Raises NotFound, StorageFailure, and Corrupted naming the file, also when the files
        are of different uuids."""
        self._inputs = open_inputs(paths)
        self.uuid = self._inputs.uuid
        self._stream = PackStream(self._inputs, compress)

    def read(self, buffer: Bytes) -> int:
        """Fills the buffer with the next bytes; returns how many, fewer than its size only at the end, 0 behind it.

        Raises Corrupted naming file, offset and field, StorageFailure."""
        return self._stream.read(buffer)

    def close(self) -> None:
        """Closes the files; nothing else may be called afterwards."""
        self._inputs.close()
