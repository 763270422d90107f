"""The native parser of one log pack header."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.wlog.log_oracle import DISCARD, EXIST, PADDING, Invalid, Record, make_header, parse_header, signed
from tests.wlog.log_strategies import PBS, SALTS
from walbd._core import ffi, lib
from walbd.wlog.log_file import end_block
from walbd.wlog.stream import reason

# Worked example of the format: a write, a discard, a write at lsid 5.
EXAMPLE = bytes.fromhex(
    "3de62e12 03000400 05000000 00000000 03000000 00000000"
    "c889cbed 01000000 64000000 00000000 01000000 01000000 06000000 00000000"
    "00000000 05000000 00080000 00000000 a0860100 02000000 07000000 00000000"
    "88a9cbed 01000000 c8000000 00000000 03000000 02000000 07000000 00000000"
).ljust(512, b"\0")
# Another one: a pack that wraps the ring, with padding.
WRAPPING = bytes.fromhex(
    "5374649a 03000400 fa000000 00000000 03000100 00000000"
    "91889968 01000000 03000000 00000000 01000000 01000000 fb000000 00000000"
    "00000000 03000000 00000000 00000000 08000000 02000000 fc000000 00000000"
    "11404f1e 01000000 08000000 00000000 09000000 03000000 fd000000 00000000"
).ljust(4096, b"\0")


def native_parse(block: bytes, pbs: int, salt: int, lsid: int) -> list[Record] | None:
    pack = ffi.new("walb_log_pack *")
    result = lib.walb_log_pack_parse(ffi.from_buffer(block), pbs, salt, lsid, pack)
    if result == lib.WALB_LOG_END:
        return None
    if result != 0:
        raise Invalid(reason(result))
    return [
        Record(r.offset_lb, r.size_lb, r.flags, r.lsid, r.csum, r.lsid_local) for r in pack.records[0 : pack.n_records]
    ]


@st.composite
def packs(draw: st.DrawFn) -> tuple[bytes, int, int, int]:
    """(header, pbs, salt, lsid) of a valid pack."""
    pbs, salt, lsid = draw(PBS), draw(SALTS), draw(st.integers(0, 2**64 - 2**24))
    records: list[Record] = []
    for flags in draw(st.lists(st.sampled_from([1, 1, 1, 3, 5]), min_size=1, max_size=(pbs - 24) // 32)):
        kind = EXIST if flags == 3 and any(r.flags & PADDING for r in records) else flags
        size = draw(st.integers(1, 65535 if kind != 5 else 2**32 - 1))
        if kind == 3:
            size = size % 8 * pbs // 512
        local = 1 + sum(r.data_pb(pbs) for r in records)
        record = Record(draw(st.integers(0, 2**40)), size, kind, lsid + local, draw(SALTS), local)
        if local + record.data_pb(pbs) > 65535:
            break
        records.append(record)
    assume(records)
    return make_header(pbs, salt, lsid, records), pbs, salt, lsid


@given(packs())
def test_a_valid_header_is_read_as_the_oracle_reads_it(pack: tuple[bytes, int, int, int]) -> None:
    assert native_parse(*pack) == parse_header(*pack)


@given(packs(), st.data())
def test_a_flipped_bit_is_detected(pack: tuple[bytes, int, int, int], data: st.DataObject) -> None:
    block, pbs, salt, lsid = pack
    changed = bytearray(block)
    changed[data.draw(st.integers(0, pbs - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Invalid):
        native_parse(bytes(changed), pbs, salt, lsid)


@given(packs(), st.lists(st.tuples(st.integers(4, 120), st.sampled_from([0, 1, 2, 7, 16, 255])), max_size=3))
def test_a_signed_header_with_changed_fields_is_judged_as_by_the_oracle(
    pack: tuple[bytes, int, int, int], changes: list[tuple[int, int]]
) -> None:
    block, pbs, salt, lsid = pack
    changed = bytearray(block)
    for position, value in changes:
        changed[position] = value
    block = signed(bytes(changed), salt)
    try:
        expected = parse_header(block, pbs, salt, lsid)
    except Invalid:
        with pytest.raises(Invalid):
            native_parse(block, pbs, salt, lsid)
    else:
        assert native_parse(block, pbs, salt, lsid) == expected


@given(st.binary(min_size=512, max_size=512), SALTS, st.integers(0, 2**64 - 1))
def test_noise_is_no_pack(block: bytes, salt: int, lsid: int) -> None:
    with pytest.raises(Invalid):
        native_parse(block, 512, salt, lsid)


def test_the_worked_example_is_read() -> None:
    assert native_parse(EXAMPLE, 512, 0x12345678, 5) == [
        Record(100, 1, EXIST, 6, 0xEDCB89C8, 1),
        Record(2048, 100000, EXIST | DISCARD, 7, 0, 2),
        Record(200, 3, EXIST, 7, 0xEDCBA988, 2),
    ]


def test_the_worked_example_with_padding_is_read() -> None:
    records = native_parse(WRAPPING, 4096, 0xDEADBEEF, 250)
    assert records is not None
    assert [(r.flags, r.lsid, r.size_lb) for r in records] == [(1, 251, 1), (3, 252, 8), (1, 253, 9)]


def test_the_end_block_ends_a_stream_whatever_its_checksum_and_the_lsid() -> None:
    block = end_block(512, 0x12345678)
    assert block[:24] == bytes.fromhex("87a9cbed 03000000 ffffffff ffffffff 00000000 00000000")
    assert native_parse(block, 512, 0x12345678, 10) is None
    assert native_parse(b"\0" + block[1:], 512, 1, 99) is None


def test_a_pack_without_records_at_a_real_lsid_is_refused() -> None:
    with pytest.raises(Invalid, match="without records"):
        native_parse(make_header(512, 3, 10, []), 512, 3, 10)


def test_a_pack_with_two_paddings_is_refused_whatever_its_count_says() -> None:
    padding = [Record(0, 1, EXIST | PADDING, 11 + i, 0, 1 + i) for i in range(2)]
    block = bytearray(make_header(512, 3, 10, padding))
    block[18] = 1
    with pytest.raises(Invalid, match="contradict"):
        native_parse(signed(bytes(block), 3), 512, 3, 10)


def test_a_pack_at_another_lsid_is_refused() -> None:
    with pytest.raises(Invalid, match="another lsid"):
        native_parse(EXAMPLE, 512, 0x12345678, 6)


def test_the_largest_pack_ends_at_the_invalid_lsid() -> None:
    lsid = 2**64 - 3
    block = make_header(512, 0, lsid, [Record(0, 1, EXIST, lsid + 1, 0, 1)])
    assert native_parse(block, 512, 0, lsid) is not None
    lsid += 1
    block = make_header(512, 0, lsid, [Record(0, 1, EXIST, lsid + 1, 0, 1)])
    with pytest.raises(Invalid, match="largest lsid"):
        native_parse(block, 512, 0, lsid)


@pytest.mark.parametrize("pbs", [0, 1, 777, 2560, 8192])
def test_a_block_size_that_does_not_exist_is_refused(pbs: int) -> None:
    with pytest.raises(Invalid, match="physical block size"):
        native_parse(EXAMPLE, pbs, 0x12345678, 5)


def test_every_reason_has_its_own_text() -> None:
    texts = [reason(code) for code in range(-11, 0)]
    assert len(set(texts)) == len(texts)
    assert "unknown error" not in texts
