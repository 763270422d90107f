"""Compression of wdiff records and bulk data (wdiff-format.md section 5).

The stored bytes are the codec's output alone; the decoded size is known from elsewhere and bounds what is decoded.
Importing this module gives the C core the codecs it has not itself.
"""

from __future__ import annotations

import lzma
import threading
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import lz4.block
import zstandard

from walbd._core import ffi, lib
from walbd.model.compression import CompressionType, CompressOpt
from walbd.model.error import Corrupted
from walbd.wdiff.native import Bytes

# Readers in use refuse more than 16 MiB of decoder memory; records have 1 MiB, so that more would gain nothing.
LZMA_MAX_DICTIONARY_BYTES = 8 << 20
# Others have written dictionaries of up to 64 MiB (levels 7 to 9).
LZMA_MEMORY_LIMIT_BYTES = 128 << 20
_FIRST_BIG_LZMA_LEVEL = 7


def _gzip(level: int, data: Bytes) -> bytes:
    return zlib.compress(data, level or -1)


def _lzma(level: int, data: Bytes) -> bytes:
    preset: dict[str, Any] = {"id": lzma.FILTER_LZMA2, "preset": level or 6}
    if level >= _FIRST_BIG_LZMA_LEVEL:
        preset["dict_size"] = LZMA_MAX_DICTIONARY_BYTES
    return lzma.compress(data, lzma.FORMAT_XZ, lzma.CHECK_CRC64, filters=[preset])


def _lz4(_: int, data: Bytes) -> bytes:
    result: bytes = lz4.block.compress(data, store_size=False)
    return result


class _ZstdCompressors(threading.local):
    """Those of each thread, by level: making one takes longer than compressing a record."""

    def __init__(self) -> None:
        self.by_level: dict[int, zstandard.ZstdCompressor] = {}

    def get(self, level: int) -> zstandard.ZstdCompressor:
        compressor = self.by_level.get(level)
        if compressor is None:
            compressor = self.by_level[level] = zstandard.ZstdCompressor(level=level)
        return compressor


_zstd_compressors = _ZstdCompressors()


def _zstd(level: int, data: Bytes) -> bytes:
    return _zstd_compressors.get(level or 1).compress(data)


class _Scratch(threading.local):
    """A buffer of each thread for the results of the core: fresh memory is slow to touch."""

    memory = bytearray()

    def room(self, size: int) -> Any:
        if len(self.memory) < size:
            self.memory = bytearray(size)
        return ffi.from_buffer(self.memory)


_scratch = _Scratch()


def _snappy(_: int, data: Bytes) -> bytes | None:
    dst = _scratch.room(len(data))
    size = lib.walb_snappy_compress(ffi.from_buffer(data), len(data), dst, len(data))
    return bytes(ffi.buffer(dst, size)) if size else None


def _ungzip(data: Bytes, size: int) -> bytes | None:
    decoder = zlib.decompressobj()
    result = decoder.decompress(data, size + 1)
    return result if decoder.eof else None


def _unlzma(data: Bytes, size: int) -> bytes | None:
    decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, LZMA_MEMORY_LIMIT_BYTES)
    result = decoder.decompress(bytes(data), size + 1)
    return result if decoder.eof else None


def _unlz4(data: Bytes, size: int) -> bytes | None:
    result: bytes = lz4.block.decompress(data, uncompressed_size=size)
    return result


def _unzstd(data: Bytes, size: int) -> bytes | None:
    reader = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True)
    result = reader.read(size)
    # Reading on finds more data, a cut frame, or bytes that are no frame.
    return None if reader.read(1) else result


def _unsnappy(data: Bytes, size: int) -> bytes | None:
    dst = _scratch.room(size)
    failed = lib.walb_snappy_decompress(ffi.from_buffer(data), len(data), dst, size)
    return None if failed else bytes(ffi.buffer(dst, size))


_COMPRESS: dict[int, Callable[[int, Bytes], bytes | None]] = {
    CompressionType.GZIP: _gzip,
    CompressionType.SNAPPY: _snappy,
    CompressionType.LZMA: _lzma,
    CompressionType.LZ4: _lz4,
    CompressionType.ZSTD: _zstd,
}
_DECOMPRESS: dict[int, Callable[[Bytes, int], bytes | None]] = {
    CompressionType.NONE: lambda data, _: bytes(data),
    CompressionType.GZIP: _ungzip,
    CompressionType.SNAPPY: _unsnappy,
    CompressionType.LZMA: _unlzma,
    CompressionType.LZ4: _unlz4,
    CompressionType.ZSTD: _unzstd,
}
_ERRORS = (zlib.error, lzma.LZMAError, lz4.block.LZ4BlockError, zstandard.ZstdError, EOFError)


def compress(kind: CompressionType, level: int, data: Bytes) -> bytes | None:
    """The stored form of data, or None when it would not be smaller: store the data themselves with type none.

    Level 0 is the codec's default. Takes long for the strong codecs: call it through World.run."""
    if kind is CompressionType.NONE:
        return None
    stored = _COMPRESS[kind](level, data)
    return stored if stored is not None and len(stored) < memoryview(data).nbytes else None


def compressor(option: CompressOpt) -> Callable[[Bytes], bytes | None] | None:
    """`compress` for one option; None when the option is not to compress."""
    if option.type is CompressionType.NONE:
        return None
    return partial(compress, option.type, option.level)


def decompress(kind: CompressionType, data: Bytes, size: int) -> bytes:
    """The data of a stored form; raises Corrupted unless they are exactly `size` bytes. Never takes more memory than
    that and the codec's own."""
    try:
        result = _DECOMPRESS[kind](data, size)
    except _ERRORS as error:
        raise Corrupted(f"{kind} data do not decode: {error}") from error
    if result is None or len(result) != size:
        raise Corrupted(f"{kind} data do not decode to {size} bytes")
    return result


@ffi.def_extern(error=-1)  # type: ignore[untyped-decorator]
def walb_python_codec(codec: int, level: int, src: Any, length: int, dst: Any, size: int) -> int:
    """The codecs of the C core besides none and snappy (native/wdiff_codec.h)."""
    data = ffi.buffer(src, length)
    try:
        result = decompress(CompressionType(codec), data, size) if level < 0 else _COMPRESS[codec](level, data)
    except Corrupted:
        return -1
    if result is None or len(result) > size:
        return -1
    ffi.memmove(dst, result, len(result))
    return len(result)


lib.walb_codec_install(lib.walb_python_codec)
