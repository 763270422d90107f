"""The wdiff layer in one call each, for tests."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from io import FileIO
from pathlib import Path

from hypothesis import strategies as st

from tests.wdiff.wdiff_oracle import DISCARD, Io, Stored, indexed, normalised, sorted_file
from tests.wlog.log_oracle import PackWriter, Write
from tests.wlog.log_strategies import DEVICE_LB
from walbd.model.compression import CompressOpt
from walbd.wdiff.apply import ApplyStats, Discard, apply_wdiffs
from walbd.wdiff.builder import LogOptions
from walbd.wdiff.from_log import LogConverted
from walbd.wdiff.indexed import Converted, LogToIndexedWdiff
from walbd.wdiff.merge import Merger
from walbd.wdiff.pack_file import PackReceiver
from walbd.wlog.log_file import LogFileHeader, end_block

UUID = bytes(range(16))
SALT = 0x12345678
NO_RING = 2**40
CHUNKS = st.integers(1, 30000)


def make_log(writes: Sequence[Write], pbs: int = 512, begin_lsid: int = 0) -> tuple[bytes, int]:
    """A log of these writes, whole packs, and the lsid behind it."""
    writer = PackWriter(pbs, SALT, NO_RING, begin_lsid)
    for write in writes:
        writer.add(write)
    writer.close()
    return b"".join(block + data for _, block, data in writer.packs), writer.lsid


def convert(
    path: Path, log: bytes, pbs: int = 512, chunk: int = 1 << 20, salt: int = SALT, lsid: int = 0, uuid: bytes = UUID
) -> Converted:
    """Log bytes to an indexed file, fed in chunks."""
    with (
        open(path, "wb", buffering=0) as file,
        LogToIndexedWdiff(file.fileno(), uuid, pbs, salt, lsid, Path(tempfile.gettempdir())) as converter,
    ):
        for at in range(0, len(log), chunk):
            converter.feed(log[at : at + chunk])
        return converter.finish()


def log_file(log: bytes, pbs: int = 512, begin_lsid: int = 0, uuid: bytes = UUID, ends: bool = True) -> bytes:
    """A log file around log bytes."""
    header = LogFileHeader(pbs, SALT, uuid, begin_lsid).pack()
    return header + log + (end_block(pbs, SALT) if ends else b"")


Conversion = Callable[[Sequence[FileIO], int, LogOptions], LogConverted]


def convert_files(
    conversion: Conversion, logs: Sequence[Path], path: Path, options: LogOptions | None = None, pipe: bool = False
) -> LogConverted:
    """Log files to a wdiff file; with pipe the input comes through one pipe, and so does the output."""
    options = options or LogOptions(folder=path.parent)
    if not pipe:
        with ExitStack() as files, open(path, "w+b", buffering=0) as out:
            streams = [files.enter_context(FileIO(log, "rb")) for log in logs]
            return conversion(streams, out.fileno(), options)
    with feeding(b"".join(log.read_bytes() for log in logs)) as stream, draining(path) as out_fd:
        return conversion([stream], out_fd, options)


@contextmanager
def feeding(data: bytes) -> Iterator[FileIO]:
    """A pipe that gives data."""
    reading, writing = os.pipe()

    def feed() -> None:
        with suppress(BrokenPipeError), open(writing, "wb") as file:
            file.write(data)

    thread = threading.Thread(target=feed)
    thread.start()
    with FileIO(reading, "rb") as stream:
        yield stream
    thread.join()


@contextmanager
def draining(path: Path) -> Iterator[int]:
    """A pipe whose bytes land in a file."""
    reading, writing = os.pipe()

    def drain() -> None:
        with open(reading, "rb") as source:
            path.write_bytes(source.read())

    thread = threading.Thread(target=drain)
    thread.start()
    try:
        yield writing
    finally:
        os.close(writing)
        thread.join()


def merge(paths: Sequence[Path], compress: CompressOpt | None = None, chunk: int = 1 << 20) -> bytes:
    """The whole pack stream of a merge, read in chunks."""
    merger = Merger(paths, compress or CompressOpt())
    buffer, stream = memoryview(bytearray(chunk)), b""
    while n := merger.read(buffer):
        stream += buffer[:n]
    merger.close()
    return stream


def receive(path: Path, stream: bytes, chunk: int = 1 << 20, uuid: bytes = UUID) -> int:
    """A pack stream to a sorted file, fed in chunks; returns the size it says."""
    with open(path, "wb", buffering=0) as file:
        receiver = PackReceiver(file.fileno(), uuid)
        for at in range(0, len(stream), chunk):
            receiver.feed(stream[at : at + chunk])
        return receiver.finish()


def apply(image: bytes, paths: Sequence[Path], discard: Discard = Discard.ZERO) -> tuple[bytes, ApplyStats]:
    """The image after the diffs."""
    with tempfile.TemporaryFile() as file:
        file.write(image)
        file.flush()
        stats = apply_wdiffs(file.fileno(), len(image) // 512, paths, discard)
        file.seek(0)
        return file.read(), stats


def replay(image: bytes, ios: Sequence[Io]) -> bytes:
    """The image after IOs in order, zeros and discards as zeros."""
    result = bytearray(image)
    for io in ios:
        result[io.address * 512 : io.end * 512] = io.data or bytes(io.blocks * 512)
    return bytes(result)


@st.composite
def make_ios(draw: st.DrawFn) -> Io:
    """An IO within the test device: compressible, incompressible, zeros or a discard."""
    address = draw(st.integers(0, DEVICE_LB - 1))
    blocks = min(draw(st.sampled_from([1, 2, 3, 8, 13, 64, 150])), DEVICE_LB - address)
    kind = draw(st.sampled_from([0, 0, 0, 2, DISCARD]))
    seed = draw(st.integers(1, 255))
    data = b""
    if kind == 0:
        unit = bytes((seed * i * i + i) % 251 for i in range(64 if seed % 2 else 509))
        data = (unit * (blocks * 512 // len(unit) + 1))[: blocks * 512]
    return Io(address, blocks, kind, data)


def to_write(io: Io) -> Write:
    return Write(io.address, io.blocks, None if io.kind == DISCARD else io.data or bytes(io.blocks * 512))


HISTORY = st.lists(make_ios(), max_size=25)
HISTORIES = st.lists(st.tuples(HISTORY, st.booleans()), min_size=1, max_size=5)


def write_sorted(path: Path, ios: Sequence[Io], uuid: bytes = UUID, per_pack: int = 127) -> Path:
    path.write_bytes(sorted_file(uuid, [Stored.of(io) for io in ios], per_pack))
    return path


def write_files(folder: Path, histories: list[tuple[list[Io], bool]]) -> tuple[list[Path], list[Io]]:
    """One file for each history, sorted or indexed, and all records of all files in order."""
    paths, records = [], []
    for number, (history, is_indexed) in enumerate(histories):
        path = folder / f"{number}.wdiff"
        if is_indexed:
            convert(path, make_log([to_write(io) for io in history])[0])
            records += indexed(history)
        else:
            write_sorted(path, normalised(history), per_pack=7)
            records += normalised(history)
        paths.append(path)
    return paths, records
