"""Log files: written and read back, strict and lenient, several in one stream."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wlog.log_oracle import Write, csum
from tests.wlog.log_strategies import PBS, SALTS, WRITES, make_super, make_write, oracle_packs
from walbd.model.error import Corrupted, InvalidArgument
from walbd.wlog.log_file import LogFileHeader, LogFileReader, LogFileWriter, end_block

UUID = bytes(range(16))
EXAMPLE = bytes.fromhex(
    "04000200 00100000 6979a9c9 78563412 00020000 00020000 00010203 04050607"
    "08090a0b 0c0d0e0f 05000000 00000000 ffffffff ffffffff"
).ljust(4096, b"\0")


def make_log(pbs: int, salt: int, writes: list[Write], lsid: int) -> bytes:
    return b"".join(head + data for _, head, data in oracle_packs(make_super(pbs, salt, 3000, 0), writes, lsid, 16))


def make_file(pbs: int, salt: int, writes: list[Write], lsid: int) -> bytes:
    file = io.BytesIO()
    writer = LogFileWriter(file, LogFileHeader(pbs, salt, UUID, lsid))
    writer.write(make_log(pbs, salt, writes, lsid))
    writer.finish()
    return file.getvalue()


def read_until_error(reader: LogFileReader) -> tuple[bytes, str]:
    log = b""
    try:
        for chunk in reader.chunks():
            log += chunk
    except Corrupted as error:
        return log, error.message
    return log, ""


def test_the_worked_example_of_a_header_is_written_and_read() -> None:
    header = LogFileHeader(512, 0x12345678, UUID, 5)
    assert header.pack() == EXAMPLE
    assert LogFileHeader.parse(EXAMPLE) == header


@given(st.integers(0, 4096 * 8 - 1))
def test_a_flipped_bit_in_the_header_is_refused(bit: int) -> None:
    block = bytearray(EXAMPLE)
    block[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Corrupted, match="log file header"):
        LogFileHeader.parse(bytes(block))


@pytest.mark.parametrize(("offset", "value"), [(0, 3), (2, 3), (4, 512), (16, 4096), (20, 0), (20, 777), (48, 5)])
def test_each_rule_of_the_header_is_checked(offset: int, value: int) -> None:
    block = bytearray(EXAMPLE)
    struct.pack_into("<Q" if offset == 48 else "<H", block, offset, value)
    struct.pack_into("<I", block, 8, 0)
    struct.pack_into("<I", block, 8, csum(bytes(block), 0))
    with pytest.raises(Corrupted, match=f"log file header: offset {40 if offset == 48 else offset}: "):
        LogFileHeader.parse(bytes(block))


def test_errors_name_the_file_and_the_offset(tmp_path: Path) -> None:
    path = tmp_path / "x.wlog"
    whole = make_file(512, 1, [make_write(0, 9, 3)], 9)
    path.write_bytes(whole + b"\0" * 100)
    with open(path, "rb") as file:
        reader = LogFileReader(file)
        assert read_until_error(reader)[1] == ""
        with pytest.raises(Corrupted, match=r"x\.wlog: log file header: offset 100: the file ends too early"):
            reader.next_file()
    path.write_bytes(whole[:-512] + b"\0" * 512)
    with open(path, "rb") as file:
        assert f"x.wlog: offset {len(whole) - 512}: pack at lsid 19: no log" in read_until_error(LogFileReader(file))[1]


@given(PBS, SALTS, WRITES, st.integers(0, 2**50))
def test_what_was_written_is_read_back(pbs: int, salt: int, writes: list[Write], lsid: int) -> None:
    reader = LogFileReader(io.BytesIO(make_file(pbs, salt, writes, lsid)))
    log = make_log(pbs, salt, writes, lsid)
    assert read_until_error(reader) == (log, "")
    assert reader.end_lsid == lsid + len(log) // pbs
    assert not reader.next_file()


@given(PBS, SALTS, WRITES, st.data())
def test_a_cut_file_is_an_error_in_strict_mode_and_its_whole_packs_come_first(
    pbs: int, salt: int, writes: list[Write], data: st.DataObject
) -> None:
    file = make_file(pbs, salt, writes, 9)
    size = data.draw(st.integers(4096, len(file) - 1))
    strict = LogFileReader(io.BytesIO(file[:size]))
    log, message = read_until_error(strict)
    assert "ends" in message
    assert log == file[4096 : 4096 + len(log)]
    lenient = LogFileReader(io.BytesIO(file[:size]), strict=False)
    assert (read_until_error(lenient)[1] == "") == (len(log) == (strict.end_lsid - 9) * pbs)


@given(PBS, SALTS, WRITES.filter(bool), st.data())
def test_a_flipped_bit_never_lets_wrong_packs_through(
    pbs: int, salt: int, writes: list[Write], data: st.DataObject
) -> None:
    file = bytearray(make_file(pbs, salt, writes, 9))
    good = make_log(pbs, salt, writes, 9)
    position = data.draw(st.integers(4096, 4095 + len(good)))
    file[position] ^= 1 << data.draw(st.integers(0, 7))
    reader = LogFileReader(io.BytesIO(bytes(file)))
    log, message = read_until_error(reader)
    if message:
        assert reader.end_lsid * pbs <= position - 4096 + 9 * pbs
    else:
        assert log == bytes(file[4096 : 4096 + len(good)])


def test_files_in_one_stream_continue_each_other() -> None:
    first, second = [make_write(0, 9, 3)], [make_write(5, 2, 0), make_write(1, 40, 7)]
    middle = 9 + len(make_log(512, 1, first, 9)) // 512
    stream = make_file(512, 1, first, 9) + make_file(512, 1, second, middle)
    reader = LogFileReader(io.BytesIO(stream))
    assert read_until_error(reader)[1] == ""
    assert reader.next_file()
    assert reader.header.begin_lsid == middle
    assert read_until_error(reader) == (make_log(512, 1, second, middle), "")
    assert not reader.next_file()


def test_a_gap_between_files_of_a_stream_is_refused() -> None:
    reader = LogFileReader(io.BytesIO(make_file(512, 1, [], 9) + make_file(512, 1, [], 10)))
    read_until_error(reader)
    with pytest.raises(Corrupted, match="begins at lsid 10"):
        reader.next_file()


def test_a_file_is_not_left_before_its_end() -> None:
    reader = LogFileReader(io.BytesIO(make_file(512, 1, [], 9)))
    with pytest.raises(InvalidArgument):
        reader.next_file()


def test_the_writer_refuses_what_is_no_log() -> None:
    writer = LogFileWriter(io.BytesIO(), LogFileHeader(512, 1, UUID, 9))
    with pytest.raises(Corrupted, match="lsid 9"):
        writer.write(bytes(512))
    writer = LogFileWriter(io.BytesIO(), LogFileHeader(512, 1, UUID, 9))
    with pytest.raises(Corrupted, match="end block"):
        writer.write(end_block(512, 1))
    writer = LogFileWriter(io.BytesIO(), LogFileHeader(512, 1, UUID, 9))
    writer.write(make_log(512, 1, [make_write(0, 9, 3)], 9)[:1024])
    with pytest.raises(InvalidArgument, match="inside the pack"):
        writer.finish()
