"""Files with right checksums and lying sizes: an error that names file, offset and field; no memory is taken."""

from __future__ import annotations

import io
import lzma
import resource
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import lz4.block
import pytest
import zstandard

from tests.damage.damage_testing import SALT, UUID
from tests.wdiff.test_damage import index_record, indexed_file, read_all
from tests.wdiff.wdiff_oracle import END_PACK, NORMAL, ZERO, Stored, header, pack
from tests.wdiff.wdiff_testing import apply, merge, receive
from tests.wlog.log_oracle import DISCARD, EXIST, HEADER, PADDING, RECORD, Record, csum, signed
from walbd.model.compression import CompressionType as Codec
from walbd.model.error import Corrupted
from walbd.storage.queue_file import HEADER as QUEUE_HEADER
from walbd.storage.queue_file import PREAMBLE, decode_queue
from walbd.wlog.log_file import LogFileHeader, LogFileReader, end_block

FIRST_PACK, FIRST_RECORD = 32, 48


def signed_pack(block: bytes) -> bytes:
    return signed(block.ljust(4096, b"\0"), 0)


def changed_pack(records: list[Stored], offset: int, fmt: str, value: int) -> bytes:
    """A pack with one field of its header changed, and its checksum right."""
    block = bytearray(pack(records))
    struct.pack_into(fmt, block, offset, value)
    return signed(bytes(block[:4096]), 0) + bytes(block[4096:])


ONE, TWO = Stored(0, 1, NORMAL, 0, bytes(512)), Stored(8, 1, NORMAL, 0, b"x" * 512)


@pytest.mark.parametrize(
    ("packs", "offset", "what"),
    [
        (changed_pack([ONE], 4, "<H", 128), FIRST_PACK + 4, "n_records 128 exceeds 127"),
        (changed_pack([ONE], 4, "<H", 65535), FIRST_PACK + 4, "n_records 65535"),
        (changed_pack([ONE], 8, "<I", 2**32 - 1), FIRST_PACK + 8, "total_size 4294967295"),
        (changed_pack([ONE], 8, "<I", 511), FIRST_PACK + 8, "total_size 511"),
        (changed_pack([ONE, TWO], 16 + 32 + 16, "<I", 511), FIRST_RECORD + 32, "data_offset 511"),
        (changed_pack([ONE, TWO], 16 + 20, "<I", 2**32 - 512), FIRST_RECORD, "data of 1 blocks in 4294966784 bytes"),
        (changed_pack([ONE], 16 + 8, "<I", 2**32 - 1), FIRST_RECORD, "data of 4294967295 blocks"),
        (changed_pack([ONE], 16 + 8, "<I", 2**23), FIRST_RECORD, "data of 8388608 blocks"),
        (changed_pack([ONE], 16 + 8, "<I", 2**23 + 1), FIRST_RECORD, "data of 8388609 blocks"),
        (changed_pack([ONE], 16 + 8, "<I", 2), FIRST_RECORD, "data_size 512 of 2 uncompressed blocks"),
        (changed_pack([ONE], 16 + 8, "<I", 0), FIRST_RECORD, "io_blocks is 0"),
        (changed_pack([ONE], 16, "<Q", 2**64 - 1), FIRST_RECORD, "io_address 18446744073709551615"),
        (changed_pack([ONE], 16 + 13, "<B", 6), FIRST_RECORD, "compression_type 6"),
        (changed_pack([ONE], 16 + 13, "<B", 255), FIRST_RECORD, "compression_type 255"),
        (changed_pack([ONE], 16 + 12, "<B", 6), FIRST_RECORD, "flags: zero and discard"),
        (changed_pack([ONE], 16 + 12, "<B", 2), FIRST_RECORD, "data_size 512 of a record without data"),
        (pack([TWO, ONE]), FIRST_RECORD + 32, "io_address 0 is below the end of the record before, 9"),
        (pack([TWO]) + pack([ONE]), FIRST_PACK + 4096 + 512 + 16, "io_address 0 is below the end"),
        (pack([ONE, Stored(0, 9, ZERO, 0, b"")]), FIRST_RECORD + 32, "io_address 0 is below the end"),
    ],
)
def test_a_sorted_file_with_a_wrong_field_is_refused_naming_it(
    tmp_path: Path, packs: bytes, offset: int, what: str
) -> None:
    path = tmp_path / "x.wdiff"
    path.write_bytes(header(0, UUID) + packs + END_PACK)
    readers: list[Callable[[], object]] = [
        lambda: read_all(path),
        lambda: merge([path]),
        lambda: apply(bytes(64 * 512), [path]),
    ]
    for read in readers:
        with pytest.raises(Corrupted, match=rf"x\.wdiff: offset {offset}: .*{what}"):
            read()
    with pytest.raises(Corrupted, match=rf"received diff: offset {offset}: .*{what}"):
        receive(tmp_path / "y", packs)


def test_more_data_than_a_pack_may_have_is_refused_on_arrival(tmp_path: Path) -> None:
    with pytest.raises(Corrupted, match="offset 40: total_size 33554944 exceeds 33554432"):
        receive(tmp_path / "y", pack([Stored(0, 65537, NORMAL, 0, bytes(65537 * 512))]))


@pytest.mark.parametrize("version", [0, 1, 3, 65535])
def test_another_version_of_a_diff_is_refused(tmp_path: Path, version: int) -> None:
    (tmp_path / "x").write_bytes(signed(struct.pack("<IHBBII", 0, version, 0, 0, 0, 0) + UUID, 0) + END_PACK)
    with pytest.raises(Corrupted, match=f"/x: offset 4: version {version} is not 2"):
        read_all(tmp_path / "x")


def log_bytes(fields: tuple[int, int, int, int, int], records: list[Record]) -> bytes:
    """A log file of one pack with these header fields: type, total, lsid, n_records, n_padding."""
    block = HEADER.pack(0, *fields, 0)
    for r in records:
        block += RECORD.pack(r.csum, r.flags, r.offset_lb, r.size_lb, r.lsid_local, 0, r.lsid)
    block = signed(block.ljust(512, b"\0"), SALT)
    return LogFileHeader(512, SALT, UUID, 9).pack() + block + end_block(512, SALT)


@pytest.mark.parametrize(
    ("log", "what"),
    [
        (log_bytes((3, 0, 9, 16, 0), []), "impossible number of records"),
        (log_bytes((3, 0, 9, 65535, 0), []), "impossible number of records"),
        (log_bytes((3, 65535, 9, 1, 0), [Record(0, 1, EXIST, 10, 0, 1)]), "contradict its size"),
        (log_bytes((3, 1, 9, 1, 0), [Record(0, 65536, EXIST, 10, 0, 1)]), "invalid record"),
        (log_bytes((3, 1, 9, 1, 0), [Record(0, 2**32 - 1, EXIST, 10, 0, 1)]), "invalid record"),
        (log_bytes((3, 1, 9, 1, 1), [Record(0, 2**32 - 1, EXIST | PADDING, 10, 0, 1)]), "invalid record"),
        (log_bytes((3, 1, 9, 1, 2), [Record(0, 1, EXIST, 10, 0, 1)]), "impossible number"),
        (log_bytes((3, 1, 9, 1, 0), [Record(2**64 - 1, 1, EXIST, 10, 0, 1)]), "behind the largest address"),
        (log_bytes((3, 0, 9, 1, 0), [Record(2**63, 2**32 - 1, EXIST | DISCARD, 10, 0, 2)]), "invalid record"),
        (log_bytes((3, 2, 9, 2, 0), [Record(0, 1, EXIST, 10, 0, 1), Record(0, 1, EXIST, 10, 0, 1)]), "contradict"),
        (log_bytes((4, 1, 9, 1, 0), [Record(0, 1, EXIST, 10, 0, 1)]), "no log pack header"),
        (log_bytes((3, 1, 8, 1, 0), [Record(0, 1, EXIST, 9, 0, 1)]), "of another lsid"),
        (log_bytes((3, 0, 9, 0, 0), []), "without records"),
    ],
)
def test_a_log_file_with_a_wrong_field_is_refused_naming_it(tmp_path: Path, log: bytes, what: str) -> None:
    (tmp_path / "x.wlog").write_bytes(log)
    with open(tmp_path / "x.wlog", "rb") as file, pytest.raises(Corrupted, match=rf"x\.wlog: offset 4096: .*{what}"):
        list(LogFileReader(file).chunks())


def test_a_log_that_would_end_behind_the_largest_lsid_is_refused() -> None:
    lsid = 2**64 - 2
    block = signed(HEADER.pack(0, 3, 1, lsid, 1, 0, 0) + bytes(488), SALT)
    file = io.BytesIO(LogFileHeader(512, SALT, UUID, lsid).pack() + block)
    with pytest.raises(Corrupted, match=r"offset 4096: .*ends behind the largest lsid"):
        list(LogFileReader(file).chunks())


def queue(begin: int, end: int, size: int = 1) -> bytes:
    """A queue file with two equal headers, and one record that claims a size."""
    head = QUEUE_HEADER.pack(PREAMBLE, 0, SALT, begin, end)
    head = head[:4] + struct.pack("<I", csum(head, 0)) + head[8:]
    return head * 2 + struct.pack("<IIII", PREAMBLE, csum(b"a", SALT), size, 0) + b"a" + bytes(64)


@pytest.mark.parametrize(
    ("file", "what"),
    [
        (queue(0, 2**64 - 1), "offset 12: begin 0 and end 18446744073709551615 lie outside"),
        (queue(2**64 - 1, 2**64 - 1), "offset 12: begin 18446744073709551615"),
        (queue(2**64 - 16, 17), "offset 12: begin"),
        (queue(5, 4), "offset 12: begin 5 and end 4"),
        (queue(0, 66), "offset 12: begin 0 and end 66"),
        (queue(0, 17, 2**32 - 1), "offset 64: record of 4294967295 bytes"),
        (queue(0, 17, 4097), "offset 64: record of 4097 bytes"),
        (queue(0, 17, 2), "offset 64: record of 2 bytes"),
        (queue(0, 17, 0), "offset 60: wrong checksum of the record"),
    ],
)
def test_a_queue_file_with_a_wrong_field_is_refused_naming_it(file: bytes, what: str) -> None:
    with pytest.raises(Corrupted, match=f"vol0/queue: .*{what}"):
        decode_queue(file, "vol0/queue")


CODECS: dict[Codec, Callable[[bytes], bytes]] = {
    Codec.GZIP: zlib.compress,
    Codec.LZMA: lzma.compress,
    Codec.LZ4: lambda data: bytes(lz4.block.compress(data, store_size=False)),
    Codec.ZSTD: lambda data: zstandard.ZstdCompressor().compress(data),
}


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
@pytest.mark.parametrize("blocks", [1, 2, 4, 2048, 131072])
def test_data_that_decode_to_another_size_than_the_record_are_refused(
    tmp_path: Path, codec: Codec, blocks: int
) -> None:
    stored = CODECS[codec](b"three blocks of data" * 76 + b"end of it 16 bytes"[:16])
    whole, indexed = tmp_path / "x.wdiff", tmp_path / "y.wdiff"
    whole.write_bytes(header(0, UUID) + pack([Stored(0, blocks, NORMAL, codec, stored)]) + END_PACK)
    record = index_record(codec=codec, blocks=1, image=blocks, size=len(stored), checksum=csum(stored, 0))
    indexed.write_bytes(indexed_file([record], stored))
    what = f"data of compression_type {codec.value} do not decode to {blocks} blocks"
    with pytest.raises(Corrupted, match=rf"x\.wdiff: offset 4128: {what}"):
        read_all(whole)
    with pytest.raises(Corrupted, match=rf"y\.wdiff: offset 32: {what}"):
        read_all(indexed)


BOMBS = """
import lzma, resource, struct, sys, zlib
import lz4.block, zstandard
from walbd.model.compression import CompressionType as Codec
from walbd.model.error import Corrupted
from walbd.wdiff.codec import decompress

zeros = bytes(64 << 20)
zipper = zlib.compressobj(9)
bombs = {
    Codec.GZIP: zipper.compress(zeros) + zipper.compress(zeros) + zipper.flush(),
    Codec.LZMA: lzma.compress(zeros) + lzma.compress(zeros),
    Codec.LZ4: lz4.block.compress(zeros, store_size=False),
    Codec.ZSTD: zstandard.ZstdCompressor().compress(zeros),
}
snappy_length = b"\\xff\\xff\\xff\\xff\\x0f"
inputs = [(codec, data) for codec, data in bombs.items()] + [
    (Codec.SNAPPY, snappy_length + b"\\x00a" + b"\\xfe\\x01\\x00" * 10000),
    # A window of 2 GiB, and a dictionary of 4 GiB, that the decoder is asked to reserve.
    (Codec.ZSTD, struct.pack("<IBB", 0xFD2FB528, 0, 0xA8) + b"\\x03\\x00\\x00a" * 100),
    (Codec.LZMA, lzma.compress(b"a", lzma.FORMAT_XZ, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 29}])),
]
del zeros
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (32 << 20), -1))
for codec, data in inputs:
    for size in (0, 512, 1 << 20):
        try:
            decompress(codec, data, size)
        except Corrupted:
            continue
        sys.exit(f"{codec} of {len(data)} bytes was taken for {size} bytes")
print("refused:", len(inputs))
"""


def test_decompression_bombs_take_no_more_memory_than_the_record_says() -> None:
    done = subprocess.run([sys.executable, "-c", BOMBS], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "refused: 7\n"), done.stderr


def test_records_of_many_big_images_take_the_memory_of_few(tmp_path: Path) -> None:
    stored = lzma.compress(bytes(64 << 20))
    common = {"codec": Codec.LZMA, "image": 131072, "size": len(stored), "checksum": csum(stored, 0)}
    records = [index_record(address=i, offset=32 + i * len(stored), skip=i, **common) for i in range(6)]
    (tmp_path / "x.wdiff").write_bytes(indexed_file(records, stored * 6))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert apply(b"\xa5" * 512 * 8, [tmp_path / "x.wdiff"])[0] == bytes(6 * 512) + b"\xa5" * 1024
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400 << 10
