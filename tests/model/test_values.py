"""Bytes, texts and invariants of the stored values (snapshot-model.md sections 3 and 4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.model.notation import TIME, diff, snap
from walbd.model.address import Address
from walbd.model.archive_info import ArchiveInfo
from walbd.model.compression import CompressionType, CompressOpt
from walbd.model.diff import Diff
from walbd.model.error import Corrupted, InvalidArgument
from walbd.model.limits import MAX_TIMESTAMP_SEC, UINT64_MAX
from walbd.model.lsid_gid import LsidGid
from walbd.model.snapshot import INVALID_GID, Snapshot, SnapshotInfo
from walbd.model.state import NO_BASE, MetaState
from walbd.model.uuid_text import NIL_UUID, parse_uuid, uuid_hex
from walbd.model.varint import Record

INFO = ArchiveInfo(Address("192.168.0.1", 10200), CompressOpt(CompressionType.SNAPPY, 0, 1), 0)
PROXY_INFO = ArchiveInfo(Address("localhost", 31704), CompressOpt(CompressionType.GZIP, 9, 2), 60)
DUMPS: list[tuple[Record, str]] = [
    (snap(5), "11 03 05 05"),
    (snap("|5,7|"), "11 03 05 07"),
    (Snapshot.clean(INVALID_GID), "11 03 ff ff"),
    (diff("0-->1 M"), "12 03 01 00 82 00 f1 53 65 11 03 00 00 11 03 01 01 00"),
    (
        diff("|5,7|-->|10,12| C", size_bytes=123456),
        "12 03 00 01 82 00 f1 53 65 11 03 05 07 11 03 0a 0c 82 40 e2 01 00",
    ),
    (NO_BASE, "13 03 00 00 11 03 ff ff 11 03 ff ff"),
    (MetaState.parse("<|5|>", TIME), "13 03 00 82 00 f1 53 65 11 03 05 05 11 03 05 05"),
    (MetaState.parse("<|0,5|-->|10|>", TIME), "13 03 01 82 00 f1 53 65 11 03 00 05 11 03 0a 0a"),
    (LsidGid(1000, 3, True, TIME), "14 03 01 82 00 f1 53 65 81 e8 03 03"),
    (SnapshotInfo("vol0", 5, TIME, 100), "04 76 6f 6c 30 05 82 00 f1 53 65 64"),
    (SnapshotInfo("vol0", INVALID_GID, 0, UINT64_MAX), "04 76 6f 6c 30 ff 00 ff"),
    (INFO, "0b 31 39 32 2e 31 36 38 2e 30 2e 31 d8 27 02 00 01 00"),
    (PROXY_INFO, "09 6c 6f 63 61 6c 68 6f 73 74 d8 7b 01 09 02 3c"),
]

GIDS = st.integers(0, 8) | st.integers(0, UINT64_MAX)
TIMES = st.integers(0, MAX_TIMESTAMP_SEC)
SNAPSHOTS = st.tuples(GIDS, GIDS).map(lambda ab: Snapshot(min(ab), max(ab)))


@st.composite
def any_diff(draw: st.DrawFn) -> Diff:
    b0, b1 = sorted(draw(st.sets(GIDS, min_size=2, max_size=2)))
    e0 = draw(st.integers(b0, UINT64_MAX) | st.just(b0))
    e1 = draw(st.integers(max(e0, b1), UINT64_MAX) | st.just(max(e0, b1)))
    return Diff(
        Snapshot(b0, e0),
        Snapshot(b1, e1),
        draw(st.booleans()),
        draw(st.booleans()),
        draw(TIMES),
        draw(st.integers(0, UINT64_MAX)),
    )


@st.composite
def any_state(draw: st.DrawFn) -> MetaState:
    begin, end = draw(SNAPSHOTS), draw(st.none() | SNAPSHOTS)
    if end is not None and begin.gid_begin >= end.gid_begin:
        end = None
    return MetaState(begin, end, draw(TIMES))


def fields(value: object) -> list[object]:
    """All of them, also those that are no part of the identity."""
    return [getattr(value, name) for name in value.__dataclass_fields__]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("value", "dump"), DUMPS, ids=lambda x: str(x)[:40])
def test_a_value_is_stored_as_the_reference_stores_it(value: Record, dump: str) -> None:
    assert value.encode() == bytes.fromhex(dump)
    assert fields(type(value).decode(bytes.fromhex(dump), "x")) == fields(value)


@given(SNAPSHOTS | any_diff() | any_state())
def test_a_value_comes_back_from_its_bytes(value: Record) -> None:  # P15
    assert fields(type(value).decode(value.encode(), "x")) == fields(value)


@given(SNAPSHOTS)
def test_a_snapshot_comes_back_from_its_text(snapshot: Snapshot) -> None:  # P15
    assert Snapshot.parse(str(snapshot)) == snapshot


@given(any_state())
def test_a_state_comes_back_from_its_text(state: MetaState) -> None:  # P15
    assert fields(MetaState.parse(state.text_with_time, 0)) == fields(state)


@given(any_diff())
def test_a_diff_comes_back_from_its_file_name(value: Diff) -> None:  # P15
    assert fields(Diff.from_file_name(value.file_name, value.size_bytes)) == fields(value)


@given(st.sampled_from(DUMPS), st.integers(0, 20), st.binary(max_size=3))
def test_damaged_bytes_raise_nothing_but_corrupted(example: tuple[Record, str], at: int, junk: bytes) -> None:
    value, dump = example
    data = bytes.fromhex(dump)
    try:
        type(value).decode(data[:at] + junk + data[at + len(junk) :], "x")
    except Corrupted:
        pass


@pytest.mark.parametrize(
    ("kind", "dump", "message"),
    [
        (Snapshot, "11 03 07 05", "gidB <= gidE"),
        (Snapshot, "12 03 05 05", "preamble"),
        (Snapshot, "11 03 05 05 00", "too many"),
        (Snapshot, "11 03 05", "ends early"),
        (Diff, "12 03 00 00 00 11 03 05 05 11 03 05 05 00", "progress constraint for B"),
        (Diff, "12 03 00 00 00 11 03 00 07 11 03 05 06 00", "progress constraint for E"),
        (Diff, "12 03 00 00 ff 11 03 00 00 11 03 05 05 00", "timestamp"),
        (MetaState, "13 03 01 00 11 03 05 05 11 03 05 05", "progress constraint"),
        (CompressOpt, "06 00 01", "compression type"),
        (CompressOpt, "02 0a 01", "compression level"),
        (CompressOpt, "02 00 00", "compression threads"),
        (Address, "00 01 00", "host"),
        (Address, "01 61 00 00", "port"),
        (SnapshotInfo, "00 05 00 00", "volId"),
    ],
)
def test_bytes_that_break_an_invariant_are_corrupted(kind: type[Record], dump: str, message: str) -> None:
    with pytest.raises(Corrupted, match=message):
        kind.decode(bytes.fromhex(dump), "x")


def test_the_end_of_a_state_that_is_not_applying_is_ignored() -> None:
    state = MetaState.decode(bytes.fromhex("13 03 00 00 11 03 05 05 11 03 01 01"), "x")
    assert (str(state), state.is_applying) == ("<|5|>", False)


def test_an_applying_state_needs_progress_of_the_begin_only() -> None:
    assert str(MetaState(snap("|5,9|"), snap(7))) == "<|5,9|-->|7|>"


@pytest.mark.parametrize(
    ("text", "expected"), [("|5|", "|5|"), ("|5,7|", "|5,7|"), ("|005|", "|5|"), ("|5,5|", "|5|"), ("|0|", "|0|")]
)
def test_a_snapshot_text_is_read(text: str, expected: str) -> None:
    assert str(Snapshot.parse(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "||",
        "|,5|",
        "|5,|",
        "|+5|",
        "|-5|",
        "| 5|",
        "|5",
        "5|",
        "|7,5|",
        "|5|x",
        "|18446744073709551616|",
        "|\u0665|",
    ],
)
def test_a_bad_snapshot_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        Snapshot.parse(text)


def test_a_state_text_has_the_given_time_unless_it_names_one() -> None:
    assert MetaState.parse("<|5|>", 77).timestamp == 77
    assert MetaState.parse("<|0,1|>-20261123014659", 77).text_with_time == "<|0,1|>-20261123014659"


@pytest.mark.parametrize(
    "text",
    ["<|5|-->|5|>", "|5|", "<|5|", "<|5|>-", "<|5|>-2026112301465", "<|5|>x", "<|5|--|6|>", "<|5|>-20261323014659"],
)
def test_a_bad_state_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        MetaState.parse(text, 0)


def test_identity_ignores_flags_times_and_sizes() -> None:
    assert diff("0-->1 M", 5, 6) == diff("0-->1 C")
    assert hash(diff("0-->1 M", 5, 6)) == hash(diff("0-->1 C"))
    assert diff("0-->1") != diff("0-->|1,2|")
    assert MetaState(snap(5), None, 1) == MetaState(snap(5), None, 2)
    assert MetaState(snap(5), snap(6)) != MetaState(snap(5), snap(7))
    assert MetaState(snap(5), snap(6)) != MetaState(snap(5))


def test_texts_of_a_diff() -> None:
    assert diff("0-->1 M").verbose() == "|0|-->|1| (M- 2023-11-14T22:13:20 0)"
    assert diff("17-->|18,19|", 1795399021, 8224).list_line() == "|17|-->|18,19| -- 2026-11-23T01:57:01 8224"
    assert diff("0-->1 MC", 0).list_line() == "|0|-->|1| MC --- 0"
    assert diff("0-->1 C", 0).verbose() == "|0|-->|1| (-C 1970-01-01T00:00:00 0)"


def test_texts_of_records_and_settings() -> None:
    record = LsidGid(1000, 3, True, TIME)
    assert record.status_text() == "LsidGid timestamp 2023-11-14T22:13:20 isMergeable 1 lsid 1000 gid 3"
    assert LsidGid(0, 0).status_text() == "LsidGid timestamp --- isMergeable 0 lsid 0 gid 0"
    assert str(PROXY_INFO) == "localhost:31704 gzip:9:2 60"
    assert (LsidGid().lsid, LsidGid().gid) == (UINT64_MAX, UINT64_MAX)


@pytest.mark.parametrize("text", ["none:0:1", "gzip:9:2", "snappy:0:1", "lzma:6:255", "lz4:0:1", "zstd:3:8"])
def test_a_compression_text_is_read_and_written(text: str) -> None:
    assert str(CompressOpt.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "gzip", "gzip:1", "gzip:1:1:1", "GZIP:1:1", "bzip2:1:1", "gzip:10:1", "gzip:0:0", "gzip:0:256", "gzip::1"],
)
def test_a_bad_compression_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        CompressOpt.parse(text)


@pytest.mark.parametrize("text", ["localhost:1", "10.0.0.1:65535"])
def test_an_address_is_read_and_written(text: str) -> None:
    assert str(Address.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "host", ":5", "host:", "host:0", "host:65536", "host:1x", "::1:5", "a b:5", "a\n:5"]
)
def test_a_bad_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        Address.parse(text)


def test_a_uuid_is_32_lower_case_digits() -> None:
    text = "000102030405060708090a0b0c0d0e0f"
    assert uuid_hex(parse_uuid(text.upper())) == text
    assert uuid_hex(NIL_UUID) == "0" * 32
    for bad in ("", text[:-1], text + "0", "g" * 32):
        with pytest.raises(InvalidArgument):
            parse_uuid(bad)
    with pytest.raises(InvalidArgument):
        uuid_hex(b"short")


@pytest.mark.parametrize("make", [lambda: Snapshot(-1, 0), lambda: Snapshot(0, 2**64), lambda: diff("1-->1")])
def test_an_impossible_value_cannot_be_made(make: object) -> None:
    with pytest.raises(InvalidArgument):
        make()  # type: ignore[operator]
