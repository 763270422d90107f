"""Sorted wdiff files from packs that come in, and what is refused."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wdiff.wdiff_oracle import END_PACK, PACK_HEADER, Io, Stored, normalised, pack, sorted_file
from tests.wdiff.wdiff_testing import CHUNKS, HISTORY, UUID, receive
from tests.wlog.log_oracle import signed
from walbd.model.error import Corrupted
from walbd.wdiff.reader import WdiffKind, WdiffReader, wdiff_header

A = Stored(0, 1, 0, 0, b"a" * 512)
ZEROS = Stored(8, 8, 2, 0, b"")
HOLE = Stored(100, 2048, 4, 0, b"")
GOOD = pack([A, ZEROS, HOLE]) + pack([Stored(3000, 2, 0, 0, b"xyz5" * 256)])


def test_the_worked_example_is_written_byte_for_byte(tmp_path: Path) -> None:
    assert receive(tmp_path / "d", pack([A, ZEROS, HOLE])) == 8736
    content = (tmp_path / "d").read_bytes()
    assert content[:0x90] == bytes.fromhex(
        "e6e3dfdb0200000000000000000000000001 02030405060708090a0b0c0d0e0f"
        "02a0b0b003000000 0002000000000000"
        "0000000000000000 01000000 00000000 00000000 00020000 804f4f4f 00000000"
        "0800000000000000 08000000 02000000 00020000 00000000 00000000 00000000"
        "6400000000000000 00080000 04000000 00020000 00000000 00000000 00000000"
    )
    assert content[0x90:0x1020] == bytes(0x1020 - 0x90)
    assert content[0x1020:0x1220] == b"a" * 512
    assert content[0x1220:] == bytes.fromhex("0000ffff00000100") + bytes(4088)


def test_a_stream_without_packs_gives_a_valid_empty_file(tmp_path: Path) -> None:
    receive(tmp_path / "d", b"")
    header = wdiff_header(tmp_path / "d")
    assert (header.kind, header.uuid) == (WdiffKind.SORTED, UUID)
    with WdiffReader(tmp_path / "d") as reader:
        assert list(reader) == []


@given(history=HISTORY, per_pack=st.integers(1, 127), chunk=CHUNKS)
def test_packs_are_stored_unchanged_however_they_come_in(
    tmp_path_factory: pytest.TempPathFactory, history: list[Io], per_pack: int, chunk: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "received"
    content = sorted_file(UUID, [Stored.of(io) for io in normalised(history)], per_pack)
    size = receive(path, content[32 : -len(END_PACK)], chunk)
    assert path.read_bytes() == content
    assert size == len(content)


def test_any_flipped_byte_of_a_stream_is_refused(tmp_path: Path) -> None:
    for at in [*range(0, 200), *range(200, len(GOOD), 37)]:
        damaged = bytearray(GOOD)
        damaged[at] ^= 1
        with pytest.raises(Corrupted, match="received diff: offset"):
            receive(tmp_path / "d", bytes(damaged), 1000)


def test_a_stream_cut_inside_a_pack_is_not_finished(tmp_path: Path) -> None:
    for cut in (1, PACK_HEADER - 1, PACK_HEADER, PACK_HEADER + 511, len(GOOD) - 1):
        with pytest.raises(Corrupted, match="cut short"):
            receive(tmp_path / "d", GOOD[:cut])


def with_field(stream: bytes, offset: int, form: str, value: int) -> bytes:
    """A stream of one pack with another value in a field of its header, its checksum right."""
    block = bytearray(stream[:PACK_HEADER])
    struct.pack_into(form, block, offset, value)
    return signed(bytes(block), 0) + stream[PACK_HEADER:]


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (pack([ZEROS, A]), "io_address 0 is below the end of the record before, 16"),
        (pack([ZEROS, Stored(15, 1, 4, 0, b"")]), "below the end"),
        (pack([ZEROS]) + pack([A]), "offset 4144: io_address 0 is below"),
        (pack([Stored(0, 1, 6, 0, b"")]), "zero and discard"),
        (pack([Stored(0, 0, 0, 0, b"")]), "io_blocks is 0"),
        (pack([Stored(0, 0, 2, 0, b"")]), "io_blocks is 0"),
        (pack([Stored(2**64 - 1, 1, 2, 0, b"")]), "behind the largest volume"),
        (pack([Stored(0, 1, 0, 6, b"abcd")]), "compression_type 6"),
        (pack([Stored(0, 2, 0, 0, b"a" * 512)]), "data_size 512 of 2 uncompressed"),
        (pack([Stored(0, 2, 4, 0, b"a" * 512)]), "data_size 512 of a record without data"),
        (pack([Stored(0, 2**31, 0, 2, b"abcd")]), "exceed the limit"),
        (pack([]), "without records"),
        (END_PACK, "flags"),
        (with_field(GOOD, 4, "<H", 128), "n_records 128"),
        (with_field(GOOD, 7, "<B", 1), "reserved"),
        (with_field(GOOD, 12, "<I", 1), "reserved"),
        (with_field(GOOD, 8, "<I", 513), "total_size 513"),
        (with_field(GOOD, 16 + 32 + 16, "<I", 0), "data_offset 0"),
        (with_field(pack([Stored(0, 131072, 0, 2, b"")]), 16 + 20, "<I", 2**32 - 4), "exceed the limit"),
    ],
)
def test_a_pack_that_breaks_a_rule_is_refused_with_the_rule(tmp_path: Path, stream: bytes, reason: str) -> None:
    with pytest.raises(Corrupted, match=reason):
        receive(tmp_path / "d", stream)


def test_more_data_than_a_pack_may_hold_is_refused_at_its_header(tmp_path: Path) -> None:
    records = [Stored(at * 65536, 65536, 0, 2, b"") for at in range(2)]
    block = bytearray(pack(records))
    for i, size in enumerate((2**24, 2**24 + 1)):
        struct.pack_into("<I", block, 16 + 32 * i + 20, size)
    struct.pack_into("<I", block, 16 + 32 + 16, 2**24)
    struct.pack_into("<I", block, 8, 2**25 + 1)
    with pytest.raises(Corrupted, match="total_size 33554433 exceeds"):
        receive(tmp_path / "d", signed(bytes(block), 0))
