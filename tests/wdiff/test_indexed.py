"""Log bytes to indexed wdiff files."""

from __future__ import annotations

import hashlib
import os
import random
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wdiff.wdiff_oracle import DISCARD, NORMAL, ZERO, Io, indexed, io_of
from tests.wdiff.wdiff_testing import CHUNKS, HISTORY, SALT, UUID, convert, make_log, to_write
from tests.wlog.log_oracle import Write
from walbd.model.error import Corrupted, StorageFailure
from walbd.wdiff.indexed import LogToIndexedWdiff
from walbd.wdiff.reader import RecordKind, WdiffKind, WdiffReader

EXAMPLE_DATA = b"".join(hashlib.sha256(struct.pack("<I", i)).digest() for i in range(48))
EXAMPLE_TAIL = bytes.fromhex(
    "0300000000000000 01000000 00000000 2000000000000000 00060000 00000000 03000000 00000000 6d461f84 6cb3e07b"
    "0400000000000000 02000000 00000000 2000000000000000 00060000 01000000 03000000 00000000 6d461f84 69b3e07b"
    "1000000000000000 04000000 04000000 2006000000000000 00000000 00000000 00000000 00000000 00000000 c8f9ffff"
    "2006000000000000 03000000 02000000 00000000 dbf9ffff"
)


def read_back(path: Path) -> list[Io]:
    with WdiffReader(path) as reader:
        assert reader.header.kind is WdiffKind.INDEXED and reader.header.uuid == UUID
        return [
            Io(r.address_lb, r.blocks_lb, r.kind, reader.data(r) if r.kind is RecordKind.NORMAL else b"")
            for r in reader
        ]


def test_the_worked_example_is_written_byte_for_byte(tmp_path: Path) -> None:
    log, _ = make_log([Write(3, 3, EXAMPLE_DATA), Write(16, 4, None)])
    convert(tmp_path / "d", log)
    content = (tmp_path / "d").read_bytes()
    assert content[:32] == bytes.fromhex("e6e3dedb020001000000000000000000000102030405060708090a0b0c0d0e0f")
    assert content[32 : 32 + 1536] == EXAMPLE_DATA
    assert content[32 + 1536 :] == EXAMPLE_TAIL


def test_a_log_without_ios_gives_a_valid_empty_file(tmp_path: Path) -> None:
    converted = convert(tmp_path / "d", b"")
    assert converted.size_bytes == 56 == (tmp_path / "d").stat().st_size
    assert (tmp_path / "d").read_bytes()[-4:] == bytes.fromhex("e0ffffff")
    assert read_back(tmp_path / "d") == []


@given(history=HISTORY, pbs=st.sampled_from([512, 4096]), chunk=CHUNKS, lsid=st.integers(0, 2**50))
def test_the_records_are_those_of_the_plain_algorithm(
    tmp_path_factory: pytest.TempPathFactory, history: list[Io], pbs: int, chunk: int, lsid: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "plain"
    log, end_lsid = make_log([to_write(io) for io in history], pbs, lsid)
    converted = convert(path, log, pbs, chunk, lsid=lsid)
    expected = indexed(history)
    assert read_back(path) == expected
    assert (converted.end_lsid, converted.n_ios, converted.n_index_records) == (end_lsid, len(history), len(expected))
    assert converted.size_bytes == path.stat().st_size


def test_an_io_above_one_mebibyte_becomes_images_of_at_most_one(tmp_path: Path) -> None:
    data = random.Random(1).randbytes(5000 * 512)
    writes = [Write(1000, 5000, data)]
    convert(tmp_path / "d", make_log(writes)[0], chunk=300_000)
    with WdiffReader(tmp_path / "d") as reader:
        records = list(reader)
        assert max(record.image_lb for record in records) <= 2048
        assert b"".join(reader.data(record) for record in records) == data
    assert read_back(tmp_path / "d") == indexed([io_of(write) for write in writes])


def test_a_zero_part_of_a_long_io_takes_no_data(tmp_path: Path) -> None:
    convert(tmp_path / "d", make_log([Write(0, 4096, os.urandom(2048 * 512) + bytes(2048 * 512))])[0])
    assert [io.shape for io in read_back(tmp_path / "d")] == [(0, 2048, NORMAL), (2048, 2048, ZERO)]


def test_a_long_discard_is_not_cut_to_one_mebibyte(tmp_path: Path) -> None:
    convert(tmp_path / "d", make_log([Write(0, 2**32 - 1, None)])[0])
    records = read_back(tmp_path / "d")
    assert len(records) == 1023 + 22
    assert sum(io.blocks for io in records) == 2**32 - 1
    assert {io.kind for io in records} == {DISCARD}


def test_overwriting_again_and_again_keeps_only_what_is_visible(tmp_path: Path) -> None:
    rnd = random.Random(5)
    log, lsid = b"", 0
    image = bytearray(200 * 512)
    for round_number in range(20):
        writes = [
            Write(rnd.randrange(199), 1, rnd.randbytes(512) if i % 3 else bytes([round_number + 1]) * 512)
            for i in range(600)
        ]
        part, lsid = make_log(writes, begin_lsid=lsid)
        log += part
        for write in writes:
            write.apply(image)
    converted = convert(tmp_path / "d", log)
    assert (converted.n_ios, converted.n_index_records) == (12000, 199)
    for io in read_back(tmp_path / "d"):
        assert io.data == image[io.address * 512 : io.end * 512]


def test_any_flipped_byte_of_the_log_is_refused(tmp_path: Path) -> None:
    log, _ = make_log([Write(3, 3, EXAMPLE_DATA), Write(16, 4, None), Write(20, 1, bytes(512))], pbs=512)
    for at in range(0, len(log), 3):
        damaged = bytearray(log)
        damaged[at] ^= 0x10
        with pytest.raises(Corrupted, match="log: lsid 0"):
            convert(tmp_path / "d", bytes(damaged))


def test_a_log_that_ends_inside_a_pack_is_not_finished(tmp_path: Path) -> None:
    log, _ = make_log([Write(3, 3, EXAMPLE_DATA)])
    for cut in (1, 511, 512, 600, len(log) - 1):
        with pytest.raises(Corrupted, match="ends inside a pack"):
            convert(tmp_path / "d", log[:cut])


@pytest.mark.parametrize(("salt", "lsid"), [(SALT + 1, 0), (SALT, 1)])
def test_a_log_of_another_salt_or_lsid_is_refused(tmp_path: Path, salt: int, lsid: int) -> None:
    with pytest.raises(Corrupted, match=f"log: lsid {lsid}: "):
        convert(tmp_path / "d", make_log([Write(0, 1, b"x" * 512)])[0], salt=salt, lsid=lsid)


def test_an_io_behind_the_largest_volume_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Corrupted, match="behind the largest volume"):
        convert(tmp_path / "d", make_log([Write(2**60, 1, None)])[0])


def test_a_failing_disk_is_named_with_the_reason(tmp_path: Path) -> None:
    fd = os.open("/dev/full", os.O_WRONLY)
    try:
        with (
            pytest.raises(StorageFailure, match="cannot write: No space left"),
            LogToIndexedWdiff(fd, UUID, 512, SALT, 0, tmp_path) as converter,
        ):
            converter.feed(make_log([Write(0, 100, os.urandom(51200))])[0])
            converter.finish()
    finally:
        os.close(fd)


def test_what_does_not_fit_into_memory_gives_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rnd = random.Random(5)
    writes = [
        Write(
            rnd.randrange(500), size := rnd.randrange(1, 9), rnd.randbytes(size * 512) if rnd.random() < 0.6 else None
        )
        for _ in range(300)
    ]
    log, _ = make_log(writes)
    whole = convert(tmp_path / "whole", log)
    monkeypatch.setattr("walbd.wdiff.indexed.MAX_RUN_RECORDS", 16)
    assert convert(tmp_path / "runs", log) == whole
    assert (tmp_path / "runs").read_bytes() == (tmp_path / "whole").read_bytes()


PROJECT = Path(__file__).parents[2]
MEASURE = """
import re, sys
from pathlib import Path
from tests.wlog.pack_builder import PackBuilder
from walbd._core import ffi
from walbd.wdiff import indexed
from walbd.wlog.super_sector import SuperSector
indexed.MAX_RUN_RECORDS = 16 << 10
folder, lsid = Path(sys.argv[1]), 0
builder = PackBuilder(SuperSector(4096, 1, bytes(16), "", 1 << 14, 0, 0, 1 << 60))
file = open(folder / "d", "wb", buffering=0)
with indexed.LogToIndexedWdiff(file.fileno(), bytes(16), 4096, 1, 0, folder) as log:
    for number in range(int(sys.argv[2])):
        builder.count = 0
        for index in range(127 * 8):
            builder.add_discard((number * 127 * 8 + index) * 16, 8)
        builder.build(lsid, 1 << 60)
        lsid = builder.end_lsid
        log.feed(bytes(ffi.buffer(builder._headers, 8 * 4096)))
    print(log.finish().n_index_records, *re.findall(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text()))
"""


def test_a_log_of_nothing_but_records_does_not_take_memory_for_all_of_them(tmp_path: Path) -> None:
    """What a hostile storage would send: discards have no data, a MiB of log is 32,512 of them."""
    command = [sys.executable, "-c", MEASURE, str(tmp_path)]
    peaks_kib = []
    for batches in (30, 200):
        run = subprocess.run([*command, str(batches)], cwd=PROJECT, capture_output=True, check=True, text=True)
        n_records, peak_kib = map(int, run.stdout.split())
        assert n_records == batches * 127 * 8
        peaks_kib.append(peak_kib)
    assert peaks_kib[1] < peaks_kib[0] + (4 << 10)
