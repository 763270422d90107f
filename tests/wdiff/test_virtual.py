"""The image of a snapshot that was never made."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wdiff.wdiff_oracle import DISCARD, NORMAL, ZERO, Io
from tests.wdiff.wdiff_testing import HISTORIES, draining, feeding, replay, write_files, write_sorted
from tests.wlog.log_strategies import DEVICE_LB
from walbd.model.error import Cancelled, Corrupted, NotFound, StorageFailure
from walbd.wdiff.virtual import VirtualImage, write_virtual

MIB = 1 << 20


def read_all(image: VirtualImage, chunk: int) -> bytes:
    buffer, content = memoryview(bytearray(chunk)), b""
    while n := image.read(buffer):
        content += buffer[:n]
    return content


def clipped(image: bytes, ios: list[Io], size: int) -> bytes:
    """The image after the IOs: extended with zeros, and cut."""
    longest = max([len(image), size, *(io.end * 512 for io in ios)])
    return replay(image.ljust(longest, b"\0"), ios)[:size]


@given(
    histories=HISTORIES,
    base_lb=st.integers(0, DEVICE_LB),
    size=st.integers(0, DEVICE_LB * 512),
    chunk=st.integers(700, 300_000),
    is_pipe=st.booleans(),
)
def test_the_image_is_the_base_with_the_diffs_applied(
    tmp_path_factory: pytest.TempPathFactory,
    histories: list[tuple[list[Io], bool]],
    base_lb: int,
    size: int,
    chunk: int,
    is_pipe: bool,
) -> None:
    folder = tmp_path_factory.getbasetemp()
    paths, records = write_files(folder, histories)
    base = random.Random(base_lb).randbytes(base_lb * 512)
    expected = clipped(base, records, size)
    (folder / "base").write_bytes(base)
    if is_pipe:
        with feeding(base) as pipe, VirtualImage(pipe.fileno(), paths, size) as image:
            assert read_all(image, chunk) == expected
    else:
        with open(folder / "base", "rb") as file, VirtualImage(file.fileno(), paths, size) as image:
            assert read_all(image, chunk) == expected
    assert (folder / "base").read_bytes() == base


def test_without_a_base_what_no_diff_holds_is_zeros(tmp_path: Path) -> None:
    path = write_sorted(tmp_path / "d", [Io(8, 1, NORMAL, b"a" * 512)])
    with VirtualImage(None, [path], 10240) as image:
        assert read_all(image, 1000) == bytes(4096) + b"a" * 512 + bytes(10240 - 4608)
    with VirtualImage(None, [], 5) as image:
        assert read_all(image, 1000) == bytes(5)


def test_a_record_that_crosses_the_end_is_cut_and_one_behind_it_left_out(tmp_path: Path) -> None:
    path = write_sorted(tmp_path / "d", [Io(2, 4, NORMAL, bytes(range(256)) * 8), Io(6, 9, ZERO), Io(90, 2, DISCARD)])
    with VirtualImage(None, [path], 2048) as image:
        assert read_all(image, 333) == bytes(1024) + bytes(range(256)) * 4


def sparse_base(path: Path) -> bytes:
    content = bytes(MIB) + b"x" * 5 + bytes(3 * MIB) + b"y" * 70000 + bytes(100_000)
    path.write_bytes(content)
    return content


def test_zeros_become_holes_of_a_new_file(tmp_path: Path) -> None:
    content = sparse_base(tmp_path / "base")
    with open(tmp_path / "base", "rb") as base, open(tmp_path / "out", "wb") as out:
        write_virtual(base.fileno(), [], len(content), out.fileno())
    assert (tmp_path / "out").read_bytes() == content
    assert (tmp_path / "out").stat().st_blocks * 512 < 400_000


def test_a_pipe_gets_every_byte(tmp_path: Path) -> None:
    content = sparse_base(tmp_path / "base")
    seen: list[int] = []
    with open(tmp_path / "base", "rb") as base, draining(tmp_path / "out") as out_fd:
        write_virtual(base.fileno(), [], len(content), out_fd, progress=seen.append)
    assert (tmp_path / "out").read_bytes() == content
    assert seen == sorted(seen) and seen[-1] == len(content)


def test_it_can_be_stopped(tmp_path: Path) -> None:
    with open(tmp_path / "out", "wb") as out, pytest.raises(Cancelled):
        write_virtual(None, [], MIB, out.fileno(), cancelled=lambda: True)


def test_errors_name_what_they_belong_to(tmp_path: Path) -> None:
    good = write_sorted(tmp_path / "good", [Io(0, 1, ZERO)])
    bad = tmp_path / "bad"
    content = bytearray(write_sorted(bad, [Io(7, 1, NORMAL, os.urandom(512))]).read_bytes())
    content[4128] ^= 1
    bad.write_bytes(content)
    with VirtualImage(None, [good, bad], MIB) as image, pytest.raises(Corrupted, match=r"bad: offset 4128: .*block 7"):
        read_all(image, 1000)
    with pytest.raises(NotFound, match="missing"):
        VirtualImage(None, [tmp_path / "missing"], MIB)
    folder = os.open(tmp_path, os.O_RDONLY)
    with VirtualImage(folder, [good], MIB) as image, pytest.raises(StorageFailure, match="base image: cannot read"):
        read_all(image, 1000)
    os.close(folder)
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(StorageFailure, match="No space left"):
        write_virtual(None, [good], MIB, full.fileno())
