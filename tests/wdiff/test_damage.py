"""Files that are damaged on disk: refused with a reason, never a crash."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wdiff.wdiff_oracle import NORMAL, ZERO, Io, Stored, pack, sorted_file
from tests.wdiff.wdiff_testing import UUID, apply, convert, make_log, merge
from tests.wlog.log_oracle import Write, signed
from walbd.model.error import Corrupted
from walbd.wdiff.reader import WdiffReader

IMAGE = bytes(64 * 512)
TEXT = b"some words that repeat, " * 64
SORTED_RECORDS = [
    Stored(0, 1, NORMAL, 0, random.Random(1).randbytes(512)),
    Stored.of(Io(4, 3, NORMAL, TEXT)),
    Stored(9, 5, ZERO, 0, b""),
]
SORTED = sorted_file(UUID, SORTED_RECORDS, per_pack=2)


def make_indexed(path: Path) -> bytes:
    convert(path, make_log([Write(1, 3, TEXT), Write(3, 1, random.Random(1).randbytes(512)), Write(8, 4, None)])[0])
    return path.read_bytes()


def read_all(path: Path) -> None:
    """Everything a reader can do with a file."""
    with WdiffReader(path) as reader:
        for record in reader:
            if record.kind == NORMAL:
                reader.data(record)


@pytest.mark.parametrize("kind", ["sorted", "indexed"])
@given(data=st.data())
def test_any_flipped_bit_is_refused_by_every_reader(
    tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged"
    content = bytearray(SORTED if kind == "sorted" else make_indexed(path))
    index_offset = struct.unpack_from("<Q", content, len(content) - 24)[0]
    padding = range(index_offset - 7, index_offset) if kind == "indexed" else range(0)
    at = data.draw(st.integers(0, len(content) - 1).filter(lambda at: at not in padding))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    readers: list[Callable[[], object]] = [
        lambda: read_all(path),
        lambda: merge([path]),
        lambda: apply(IMAGE, [path]),
    ]
    for read in readers:
        with pytest.raises(Corrupted, match="damaged: offset"):
            read()


@pytest.mark.parametrize("kind", ["sorted", "indexed"])
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "d"
    content = SORTED if kind == "sorted" else make_indexed(path)
    for cut in [*range(0, 60), *range(60, len(content), 97), *range(len(content) - 60, len(content))]:
        path.write_bytes(content[:cut])
        with pytest.raises(Corrupted, match="/d: offset"):
            read_all(path)


def index_record(**changes: int) -> bytes:
    fields = {"address": 0, "blocks": 1, "flags": 0, "codec": 0, "offset": 32, "size": 512, "skip": 0, "image": 1}
    fields |= {"checksum": 0} | changes
    block = struct.pack(
        "<QIBBHQIIIII",
        fields["address"], fields["blocks"], fields["flags"], fields["codec"], 0, fields["offset"],
        fields["size"], fields["skip"], fields["image"], 0, fields["checksum"],
    )  # fmt: skip
    return block + signed(bytes(4) + block, 0)[:4]


def indexed_file(records: list[bytes], data: bytes) -> bytes:
    head = struct.pack("<IHBBII", 0, 2, 1, 0, 0, 0) + UUID
    end = struct.pack("<QIII", 32 + len(data), len(records), 1, 0)
    end += signed(bytes(4) + end, 0)[:4]
    return signed(head, 0) + data + b"".join(records) + end


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ([index_record(offset=31)], "leave the data area"),
        ([index_record(offset=33)], "leave the data area"),
        ([index_record(offset=2**64 - 512)], "leave the data area"),
        ([index_record(skip=1)], "io_offset 1 and io_blocks 1 exceed orig_blocks 1"),
        ([index_record(skip=2**32 - 1)], "exceed orig_blocks"),
        ([index_record(blocks=2)], "exceed orig_blocks"),
        ([index_record(image=2)], "data_size 512 of 2 uncompressed"),
        ([index_record(image=2**24)], "exceed the limit"),
        ([index_record(codec=6)], "compression_type 6"),
        ([index_record(flags=6)], "zero and discard"),
        ([index_record(blocks=0)], "io_blocks is 0"),
        ([index_record(flags=2, blocks=0, size=0)], "io_blocks is 0"),
        ([index_record(flags=4)], "record without data"),
        ([index_record(address=1), index_record(address=0)], "below the end"),
        ([index_record(), index_record()], "below the end"),
        ([index_record(address=2**64 - 1)], "behind the largest volume"),
        ([index_record(checksum=1)], "wrong checksum of the data"),
        ([index_record(codec=2)], "do not decode to 1 blocks"),
    ],
)
def test_an_index_record_that_breaks_a_rule_is_refused_with_the_rule(
    tmp_path: Path, records: list[bytes], reason: str
) -> None:
    path = tmp_path / "d"
    path.write_bytes(indexed_file(records, bytes(512)))
    with pytest.raises(Corrupted, match=reason):
        read_all(path)


def test_unused_flags_and_reserved_fields_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "d"
    path.write_bytes(indexed_file([index_record(flags=0xD8)], bytes(512)))
    read_all(path)


def test_two_records_that_claim_different_lengths_of_one_image_never_meet(tmp_path: Path) -> None:
    path = tmp_path / "d"
    data = bytes(1024)
    records = [index_record(size=1024, image=2), index_record(address=5, codec=2, size=1024, image=1000, skip=999)]
    path.write_bytes(indexed_file(records, data))
    with pytest.raises(Corrupted, match="do not decode to 1000 blocks"):
        apply(IMAGE, [path])


def test_an_index_beside_its_place_is_refused(tmp_path: Path) -> None:
    good = indexed_file([index_record()], bytes(512))
    for offset, count in ((32 + 512 + 8, 1), (32, 1), (2**63, 1), (32 + 512, 0), (32 + 512, 2), (0, 2**32 - 1)):
        end = struct.pack("<QIII", offset, count, 1, 0)
        (tmp_path / "d").write_bytes(good[:-24] + end + signed(bytes(4) + end, 0)[:4])
        with pytest.raises(Corrupted, match="do not fit the file"):
            read_all(tmp_path / "d")


def test_an_empty_pack_between_others_is_skipped_in_a_file(tmp_path: Path) -> None:
    one, two = Stored(0, 1, ZERO, 0, b""), Stored(1, 1, ZERO, 0, b"")
    whole = sorted_file(UUID, [one])
    (tmp_path / "d").write_bytes(whole[:-4096] + pack([]) + pack([two]) + whole[-4096:] + b"\xff" * 100)
    with WdiffReader(tmp_path / "d") as reader:
        assert [record.address_lb for record in reader] == [0, 1]
