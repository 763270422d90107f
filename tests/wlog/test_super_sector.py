"""The super sector and the formatting of log devices."""

from __future__ import annotations

import os
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from typing import IO, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wlog.log_oracle import csum
from walbd.model.error import Corrupted, InvalidArgument, StorageFailure
from walbd.wlog.format_ldev import format_ldev
from walbd.wlog.super_sector import SuperSector, read_super_sector, write_super_sector

EXAMPLE = bytes.fromhex(
    "01000200 27e23c99 00020000 00020000 00000000 78563412 00010203 04050607"
    "08090a0b 0c0d0e0f 766f6c30 00000000 00000000 00000000 00000000 00000000"
    "00000000 00000000 f6070000 00000000 ee070000 00000000 ee070000 00000000"
    "00200000 00000000"
).ljust(512, b"\0")
EXAMPLE_VALUE = SuperSector(512, 0x12345678, bytes(range(16)), "vol0", 2038, 2030, 2030, 8192)
MIB = 1 << 20


@pytest.fixture
def device() -> Iterator[IO[bytes]]:
    """A log device of 1 MiB."""
    with tempfile.TemporaryFile() as file:
        file.write(b"\x33" * MIB)
        file.flush()
        yield file


def changed(offset: int, data: bytes) -> bytes:
    """The example with other bytes and a right checksum."""
    block = bytearray(EXAMPLE)
    block[offset : offset + len(data)] = data
    block[4:8] = bytes(4)
    struct.pack_into("<I", block, 4, csum(bytes(block), 0))
    return bytes(block)


def test_the_worked_example_is_written_and_read() -> None:
    assert EXAMPLE_VALUE.pack() == EXAMPLE
    assert SuperSector.parse(EXAMPLE, 512, MIB) == EXAMPLE_VALUE


@given(
    st.sampled_from([512, 1024, 2048, 4096]),
    st.integers(0, 2**32 - 1),
    st.binary(min_size=16, max_size=16),
    st.text("abcXYZ019_.-", max_size=25),
    st.integers(1, 2**40),
    st.integers(0, 2**63),
    st.integers(0, 2**62),
)
def test_what_was_written_is_read_back(
    pbs: int, salt: int, uuid: bytes, name: str, ring_pb: int, oldest: int, kept: int
) -> None:
    value = SuperSector(pbs, salt, uuid, name, ring_pb, oldest, oldest + kept, 2**50)
    assert SuperSector.parse(value.pack(), pbs, value.ring_end_bytes) == value


@given(st.integers(0, 512 * 8 - 1))
def test_a_flipped_bit_is_refused(bit: int) -> None:
    block = bytearray(EXAMPLE)
    block[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Corrupted, match="super sector"):
        SuperSector.parse(bytes(block), 512, MIB)


@pytest.mark.parametrize(
    ("block", "what"),
    [
        (changed(0, b"\2"), "super sector: offset 4096: sector type 2"),
        (changed(2, b"\1"), "version 1"),
        (changed(8, struct.pack("<I", 4096)), "logical block size 4096"),
        (changed(12, struct.pack("<I", 4096)), "physical block size 4096, the device has 512"),
        (changed(16, b"\1"), "metadata size 1"),
        (changed(40, b"n" * 32), "name without end"),
        (changed(40, b"\xc3\xa4"), "offset 4136: name is not ASCII"),
        (changed(72, bytes(8)), "offset 4168: ring without blocks"),
        (changed(72, struct.pack("<Q", 2039)), "larger than the log device"),
        (changed(72, struct.pack("<Q", 2**63)), "larger than the log device"),
        (changed(80, struct.pack("<Q", 2031)), "lsids oldest 2031 written 2030"),
        (changed(88, b"\xff" * 8), "lsids"),
        (EXAMPLE[:100], "offset 4196: block cut short"),
    ],
)
def test_each_rule_is_checked(block: bytes, what: str) -> None:
    with pytest.raises(Corrupted, match=what):
        SuperSector.parse(block, 512, MIB)


def test_errors_name_the_log_device(device: IO[bytes]) -> None:
    with pytest.raises(Corrupted, match=r"^/dev/x: super sector: offset 4096: sector type 13107"):
        read_super_sector(device.fileno(), 512, "/dev/x")


def test_an_overflown_device_is_read() -> None:
    value = replace(EXAMPLE_VALUE, oldest_lsid=0, written_lsid=10**9)
    assert SuperSector.parse(value.pack(), 512, MIB) == value


@pytest.mark.parametrize(("pbs", "ring_pb", "offset_pb"), [(512, 2038, 10), (4096, 253, 3)])
def test_formatting_makes_an_empty_log(device: IO[bytes], pbs: int, ring_pb: int, offset_pb: int) -> None:
    made = format_ldev(device.fileno(), 8192, "vol0", pbs=pbs)
    assert (made.pbs, made.ring_size_pb, made.ring_offset_pb) == (pbs, ring_pb, offset_pb)
    assert (made.oldest_lsid, made.written_lsid, made.device_size_lb, made.name) == (0, 0, 8192, "vol0")
    assert read_super_sector(device.fileno()) == made
    assert os.pread(device.fileno(), pbs, 4096) == made.pack()


def test_formatting_frees_the_device_unless_told_not_to(device: IO[bytes]) -> None:
    format_ldev(device.fileno(), 8192, discard=False)
    assert os.pread(device.fileno(), 512, 8192) == b"\x33" * 512
    format_ldev(device.fileno(), 8192)
    assert os.pread(device.fileno(), 512, 8192) == bytes(512)


def test_each_formatting_starts_another_log_sequence(device: IO[bytes]) -> None:
    first, second = (format_ldev(device.fileno(), 8192) for _ in range(2))
    assert first.uuid != second.uuid
    assert first.salt != second.salt


def test_the_block_size_of_a_file_is_512_unless_given(device: IO[bytes]) -> None:
    assert format_ldev(device.fileno(), 8192).pbs == 512


def test_a_name_longer_than_the_kernel_driver_takes_is_refused(device: IO[bytes]) -> None:
    format_ldev(device.fileno(), 8192, "n" * 25)
    with pytest.raises(InvalidArgument, match="bad device name"):
        format_ldev(device.fileno(), 8192, "n" * 26)


@pytest.mark.parametrize(("size", "pbs"), [(0, 512), (5119, 512), (12288, 4096)])
def test_a_device_without_room_for_a_ring_is_refused(device: IO[bytes], size: int, pbs: int) -> None:
    device.truncate(size)
    with pytest.raises(InvalidArgument, match="too small"):
        format_ldev(device.fileno(), 8192, pbs=pbs)


def test_a_block_size_that_does_not_exist_is_refused(device: IO[bytes]) -> None:
    with pytest.raises(InvalidArgument, match="physical block size"):
        format_ldev(device.fileno(), 8192, pbs=520)


def test_another_block_size_than_the_device_has_is_refused(device: IO[bytes]) -> None:
    format_ldev(device.fileno(), 8192, pbs=4096)
    with pytest.raises(Corrupted, match="physical block size 4096, the device has 512"):
        read_super_sector(device.fileno(), 512)


def test_a_file_that_is_no_log_device_is_refused(device: IO[bytes]) -> None:
    with pytest.raises(Corrupted, match="super sector"):
        read_super_sector(device.fileno())
    device.truncate(4500)
    with pytest.raises(Corrupted, match="cut short"):
        read_super_sector(device.fileno())
    device.truncate(0)
    with pytest.raises(Corrupted, match="cut short"):
        read_super_sector(device.fileno())


def test_a_super_sector_that_cannot_be_written_is_reported() -> None:
    with open("/dev/null", "rb") as file, pytest.raises(StorageFailure, match="cannot write the super sector"):
        write_super_sector(file.fileno(), EXAMPLE_VALUE)


@pytest.fixture
def block_device(device: IO[bytes]) -> Iterator[IO[bytes]]:
    """The log device behind a loop device of 4096-byte blocks."""
    made = subprocess.run(
        ["losetup", "--find", "--show", "--sector-size", "4096", f"/proc/{os.getpid()}/fd/{device.fileno()}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        pytest.skip(f"no loop devices here: {made.stderr.strip()}")
    path = made.stdout.strip()
    try:
        with open(path, "r+b", buffering=0) as opened:
            yield cast(IO[bytes], opened)
    finally:
        subprocess.run(["losetup", "--detach", path], check=True)


def test_a_block_device_says_its_own_block_size(block_device: IO[bytes]) -> None:
    made = format_ldev(block_device.fileno(), 8192)
    assert (made.pbs, made.ring_size_pb) == (4096, 253)
    assert read_super_sector(block_device.fileno()) == made
    with pytest.raises(InvalidArgument, match="block size 512 given for a block device of 4096"):
        format_ldev(block_device.fileno(), 8192, pbs=512)
