"""Merging wdiff files."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wdiff.wdiff_oracle import (
    DISCARD,
    NONE,
    NORMAL,
    SNAPPY,
    ZERO,
    Io,
    Stored,
    normalised,
    parse_packs,
    parse_stream,
    sorted_file,
)
from tests.wdiff.wdiff_testing import HISTORIES, UUID, merge, receive, write_files, write_sorted
from walbd.model.compression import CompressionType, CompressOpt
from walbd.model.error import Corrupted, NotFound
from walbd.wdiff import merge as merge_module
from walbd.wdiff.codec import decompress
from walbd.wdiff.merge import Merger


@given(histories=HISTORIES, chunk=st.sampled_from([1, 1000, 1 << 20]))
def test_the_records_are_those_of_the_plain_algorithm(
    tmp_path_factory: pytest.TempPathFactory, histories: list[tuple[list[Io], bool]], chunk: int
) -> None:
    paths, records = write_files(tmp_path_factory.getbasetemp(), histories)
    assert parse_stream(merge(paths, chunk=chunk)) == normalised(records)


@given(histories=HISTORIES, cuts=st.sets(st.integers(1, 4)))
def test_merging_in_groups_first_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, histories: list[tuple[list[Io], bool]], cuts: set[int]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    paths, _ = write_files(folder, histories)
    bounds = [0, *sorted(cut for cut in cuts if cut < len(paths)), len(paths)]
    grouped = []
    for begin, end in pairwise(bounds):
        receive(folder / f"group-{begin}", merge(paths[begin:end]))
        grouped.append(folder / f"group-{begin}")
    assert parse_stream(merge(grouped)) == parse_stream(merge(paths))


@pytest.mark.parametrize("most", [5, 3])
def test_more_files_than_may_be_open_are_merged_in_stages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    rnd = random.Random(3)
    histories = [
        ([Io(rnd.randrange(100), rnd.randint(1, 9), rnd.choice([ZERO, DISCARD])) for _ in range(5)], False)
        for _ in range(20)
    ]
    paths, records = write_files(tmp_path, histories)
    monkeypatch.setattr(merge_module, "MAX_OPEN_INPUTS", most)
    assert parse_stream(merge(paths)) == normalised(records)
    assert sorted(tmp_path.iterdir()) == sorted(paths), "a temporary file was left behind"


def test_two_thousand_files_are_merged(tmp_path: Path) -> None:
    paths = [write_sorted(tmp_path / str(i), [Io(i, 3, ZERO)]) for i in range(2000)]
    assert [io.shape for io in parse_stream(merge(paths))][-3:] == [(1997, 1, ZERO), (1998, 1, ZERO), (1999, 3, ZERO)]


def test_a_merge_of_no_files_is_empty() -> None:
    assert merge([]) == b""


def test_long_normal_records_are_cut_on_a_grid_from_their_own_start(tmp_path: Path) -> None:
    data = random.Random(1).randbytes(512) * 5000
    old = write_sorted(tmp_path / "old", [Io(10, 5000, NORMAL, data)])
    new = write_sorted(tmp_path / "new", [Io(100, 2000, ZERO), Io(3000, 1, DISCARD)])
    expected = normalised([Io(10, 5000, NORMAL, data), Io(100, 2000, ZERO), Io(3000, 1, DISCARD)])
    assert parse_stream(merge([old, new])) == expected
    assert [io.shape for io in expected if io.kind == NORMAL] == [
        (10, 90, 0), (2100, 900, 0), (3001, 1105, 0), (4106, 904, 0),
    ]  # fmt: skip
    assert expected[1].shape == (100, 2000, ZERO)


def test_zero_and_discard_records_are_not_cut(tmp_path: Path) -> None:
    longest = Io(7, 2**32 - 1, DISCARD)
    path = write_sorted(tmp_path / "d", [longest])
    newer = write_sorted(tmp_path / "e", [Io(2**31, 2**23, ZERO)])
    shapes = [io.shape for io in parse_stream(merge([path, newer]))]
    assert shapes == [
        (7, 2**31 - 7, DISCARD),
        (2**31, 2**23, ZERO),
        (2**31 + 2**23, 2**31 - 2**23 + 6, DISCARD),
    ]


def test_packs_keep_the_limits_of_the_format(tmp_path: Path) -> None:
    rnd = random.Random(2)
    ios = [Io(at * 3000, 2048, NORMAL, rnd.randbytes(2048 * 512)) for at in range(5)]
    ios += [Io(20000 + 2 * at, 1, DISCARD) for at in range(300)]
    packs = parse_packs(merge([write_sorted(tmp_path / "d", ios)]))
    assert all(len(records) <= 127 and sum(len(r.data) for r in records) <= 32 << 20 for records in packs)
    assert [record.decoded() for records in packs for record in records] == ios


def test_untouched_stored_bytes_are_passed_on(tmp_path: Path) -> None:
    odd = Stored(
        0, 1, NORMAL, SNAPPY, bytes.fromhex("8004") + b"\x00a" + b"\xfe\x01\x00" * 7 + b"\xf6\x01\x00" + b"\x00a"
    )
    path = tmp_path / "d"
    path.write_bytes(sorted_file(UUID, [odd]))
    assert parse_packs(merge([path])) == [[odd]]
    assert parse_packs(merge([path], CompressOpt.parse("none:0:1"))) == [[odd]]
    assert parse_packs(merge([path], CompressOpt.parse("lz4:0:1"))) == [[odd]]


@pytest.mark.parametrize("option", ["gzip:6:1", "lzma:1:1", "zstd:3:1"])
def test_records_are_compressed_again_when_a_stronger_codec_is_wanted(tmp_path: Path, option: str) -> None:
    compress = CompressOpt.parse(option)
    data = b"all work and no play " * 512
    path = write_sorted(tmp_path / "d", [Io(0, 21, NORMAL, data)])
    [[record]] = parse_packs(merge([path], compress))
    assert record.codec == compress.type
    assert decompress(CompressionType(record.codec), record.data, len(data)) == data
    path.write_bytes(sorted_file(UUID, [record]))
    assert parse_packs(merge([path])) == [[record]], "a strong codec is not replaced by a fast one"


def test_stored_bytes_larger_than_their_data_are_stored_anew(tmp_path: Path) -> None:
    literals = b"".join(b"\x00" + b"x" for _ in range(512))
    path = tmp_path / "d"
    path.write_bytes(sorted_file(UUID, [Stored(0, 1, NORMAL, SNAPPY, b"\x80\x04" + literals)]))
    [[record]] = parse_packs(merge([path]))
    assert len(record.data) < 100 and record.decoded().data == b"x" * 512


def test_cut_records_that_do_not_shrink_are_stored_as_they_are(tmp_path: Path) -> None:
    data = random.Random(4).randbytes(8 * 512)
    old = write_sorted(tmp_path / "old", [Io(0, 8, NORMAL, data)])
    new = write_sorted(tmp_path / "new", [Io(4, 1, DISCARD)])
    records = parse_packs(merge([old, new]))[0]
    assert [(r.codec, r.data) for r in records] == [(NONE, data[:2048]), (NONE, b""), (NONE, data[2560:])]


def test_hidden_data_are_never_read(tmp_path: Path) -> None:
    broken = Stored(0, 1, NORMAL, NONE, b"x" * 512, checksum=1)
    (tmp_path / "old").write_bytes(sorted_file(UUID, [broken]))
    new = write_sorted(tmp_path / "new", [Io(0, 1, ZERO)])
    assert [io.shape for io in parse_stream(merge([tmp_path / "old", new]))] == [(0, 1, ZERO)]
    with pytest.raises(Corrupted, match="old: offset 4128: wrong checksum of the data"):
        merge([tmp_path / "old"])


def test_the_uuid_is_that_of_the_files(tmp_path: Path) -> None:
    path = write_sorted(tmp_path / "d", [Io(0, 1, ZERO)])
    unknown = write_sorted(tmp_path / "unknown", [], bytes(16))
    assert Merger([path], CompressOpt()).uuid == UUID
    assert Merger([unknown, path], CompressOpt()).uuid == UUID
    assert Merger([unknown], CompressOpt()).uuid == bytes(16)


def test_files_of_different_uuids_are_refused(tmp_path: Path) -> None:
    a = write_sorted(tmp_path / "a", [Io(0, 1, ZERO)])
    b = write_sorted(tmp_path / "b", [Io(0, 1, ZERO)], b"another uuid 16!")
    with pytest.raises(Corrupted, match="/b: offset 16: the uuid"):
        Merger([a, b], CompressOpt())


def test_a_file_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="none"):
        Merger([tmp_path / "none"], CompressOpt())
