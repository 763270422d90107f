from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from walbd.image import sparse_copy
from walbd.image.sparse_copy import STEP_BYTES, copy_image, data_ranges
from walbd.model.error import Cancelled

MIB = 1 << 20


def image(path: Path, size: int, parts: dict[int, bytes]) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.ftruncate(fd, size)
    for offset, data in parts.items():
        os.pwrite(fd, data, offset)
    return fd


def never() -> bool:
    return False


@pytest.fixture(params=["kernel copy", "read and write"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "read and write":

        def refuse(*_: object) -> int:
            raise OSError(errno.EXDEV, "no")

        monkeypatch.setattr(os, "copy_file_range", refuse)
    return str(request.param)


def test_a_copy_equals_its_source_and_keeps_the_holes(tmp_path: Path, way: str) -> None:
    parts = {0: b"begin" * 1000, 3 * MIB + 77: os.urandom(MIB), 64 * MIB - 9: b"x" * 9}
    source = image(tmp_path / "a", 64 * MIB, parts)
    target = image(tmp_path / "b", 0, {})
    copy_image(source, target, 64 * MIB, never, lambda _: None)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert os.fstat(target).st_blocks * 512 < 8 * MIB
    os.close(source)
    os.close(target)


def test_a_copy_of_an_image_without_data_is_one_hole(tmp_path: Path, way: str) -> None:
    source = image(tmp_path / "a", 5 * MIB + 512, {})
    target = image(tmp_path / "b", 0, {})
    copy_image(source, target, 5 * MIB + 512, never, lambda _: None)
    assert os.fstat(target).st_size == 5 * MIB + 512
    assert list(data_ranges(target, 5 * MIB + 512)) == []
    os.close(source)
    os.close(target)


def test_a_copy_stops_at_the_next_step_when_cancelled(
    tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sparse_copy, "reflink", lambda *_: False)
    monkeypatch.setattr(sparse_copy, "STEP_BYTES", MIB)
    source = image(tmp_path / "a", 4 * MIB, {0: b"y" * (4 * MIB)})
    target = image(tmp_path / "b", 0, {})
    done: list[int] = []
    with pytest.raises(Cancelled):
        copy_image(source, target, 4 * MIB, lambda: len(done) == 2, done.append)
    assert done == [MIB, 2 * MIB]
    os.close(source)
    os.close(target)


def test_progress_never_goes_back_and_ends_at_the_size(tmp_path: Path, way: str) -> None:
    source = image(tmp_path / "a", 2 * STEP_BYTES, {5: b"z" * (STEP_BYTES + 5)})
    target = image(tmp_path / "b", 0, {})
    done: list[int] = []
    copy_image(source, target, 2 * STEP_BYTES, never, done.append)
    assert done == sorted(done)
    assert done[-1] == 2 * STEP_BYTES
    os.close(source)
    os.close(target)


def test_a_file_system_that_shares_blocks_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = image(tmp_path / "a", MIB, {100: b"shared"})
    target = image(tmp_path / "b", 0, {})

    def clone(target_fd: int, request: int, source_fd: int) -> int:
        assert request == sparse_copy.FICLONE
        os.pwrite(target_fd, os.pread(source_fd, MIB, 0), 0)
        return 0

    monkeypatch.setattr(sparse_copy.fcntl, "ioctl", clone)
    monkeypatch.setattr(os, "copy_file_range", lambda *_: pytest.fail("copied although the blocks were shared"))
    copy_image(source, target, MIB, never, lambda _: None)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    os.close(source)
    os.close(target)
