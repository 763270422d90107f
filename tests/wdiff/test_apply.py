"""Applying wdiffs to an image."""

from __future__ import annotations

import os
import random
import tempfile
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wdiff.wdiff_oracle import DISCARD, NORMAL, ZERO, Io
from tests.wdiff.wdiff_testing import (
    CHUNKS,
    HISTORIES,
    HISTORY,
    apply,
    convert,
    make_log,
    merge,
    receive,
    replay,
    to_write,
    write_files,
    write_sorted,
)
from tests.wlog.log_strategies import DEVICE_LB
from walbd.model.error import BadState, Cancelled, Corrupted, StorageFailure
from walbd.wdiff.apply import THREADS, ApplyStats, Discard, apply_wdiffs

IMAGE = b"\xa5" * (DEVICE_LB * 512)
MIB_LB = 2048


@given(histories=HISTORIES)
def test_applying_equals_replaying_the_ios(
    tmp_path_factory: pytest.TempPathFactory, histories: list[tuple[list[Io], bool]]
) -> None:
    paths, records = write_files(tmp_path_factory.getbasetemp(), histories)
    image, _ = apply(IMAGE, paths)
    assert image == replay(IMAGE, records)
    assert apply(image, paths)[0] == image, "applying again changes nothing"


@given(history=HISTORY, cuts=st.lists(st.integers(0, 25), max_size=3), pbs=st.sampled_from([512, 4096]), chunk=CHUNKS)
def test_a_history_through_logs_diffs_merges_and_apply_is_the_history(
    tmp_path_factory: pytest.TempPathFactory, history: list[Io], cuts: list[int], pbs: int, chunk: int
) -> None:
    folder = tmp_path_factory.getbasetemp()
    bounds = [0, *sorted(cuts), len(history)]
    paths, lsid = [], 0
    for number, (begin, end) in enumerate(pairwise(bounds)):
        log, next_lsid = make_log([to_write(io) for io in history[begin:end]], pbs, lsid)
        convert(folder / str(number), log, pbs, chunk, lsid=lsid)
        paths.append(folder / str(number))
        lsid = next_lsid
    receive(folder / "merged", merge(paths, chunk=chunk), chunk)
    assert apply(IMAGE, [folder / "merged"])[0] == replay(IMAGE, history) == apply(IMAGE, paths)[0]


def test_discards_become_zeros_unless_they_are_to_be_ignored(tmp_path: Path) -> None:
    path = write_sorted(tmp_path / "d", [Io(0, 8, DISCARD), Io(8, 8, ZERO), Io(200, 300, DISCARD)])
    zeroed = bytes(16 * 512) + IMAGE[16 * 512 : 200 * 512] + bytes(300 * 512) + IMAGE[500 * 512 :]
    kept = IMAGE[: 8 * 512] + bytes(8 * 512) + IMAGE[16 * 512 :]
    assert apply(IMAGE, [path], Discard.ZERO)[0] == zeroed
    assert apply(IMAGE, [path], Discard.IGNORE)[0] == kept
    assert apply(IMAGE, [path], Discard.PASSDOWN)[0] == zeroed, "a file has no device to pass discards to"


def test_long_zeros_free_the_blocks_of_a_file(tmp_path: Path) -> None:
    size_lb = 16 * MIB_LB
    path = write_sorted(tmp_path / "d", [Io(0, size_lb, DISCARD)])
    with tempfile.TemporaryFile(dir=tmp_path) as file:
        file.write(b"x" * (size_lb * 512))
        file.flush()
        before = os.fstat(file.fileno()).st_blocks
        stats = apply_wdiffs(file.fileno(), size_lb, [path])
        assert os.fstat(file.fileno()).st_blocks < before
        assert os.pread(file.fileno(), size_lb * 512 + 1, 0) == bytes(size_lb * 512)
    assert stats == ApplyStats(0, 0, 1, 0, size_lb * 512, 0)


def test_a_target_without_holes_is_written_and_one_that_cannot_sync_is_an_error(tmp_path: Path) -> None:
    path = write_sorted(tmp_path / "d", [Io(0, 10 * MIB_LB, DISCARD)])
    fd = os.open("/dev/null", os.O_RDWR)
    try:
        with pytest.raises(StorageFailure, match="image: cannot sync"):
            apply_wdiffs(fd, 10 * MIB_LB, [path])
    finally:
        os.close(fd)


def test_neighbouring_records_are_written_together(tmp_path: Path) -> None:
    rnd = random.Random(1)
    ios = [Io(at, 1, NORMAL, rnd.randbytes(512)) for at in range(0, 500)]
    path = write_sorted(tmp_path / "d", ios)
    image, stats = apply(IMAGE, [path])
    assert image == replay(IMAGE, ios)
    assert (stats.n_normal, stats.written_bytes) == (500, 500 * 512)


def test_a_record_behind_the_end_of_the_image_is_an_error(tmp_path: Path) -> None:
    path = write_sorted(tmp_path / "d", [Io(DEVICE_LB - 1, 2, ZERO)])
    with pytest.raises(BadState, match=r"/d: record of 2 blocks at block 599 reaches behind .* \(hint: grow"):
        apply(IMAGE, [path])


def test_progress_rises_to_the_end_and_cancelling_stops_between_steps(tmp_path: Path) -> None:
    size_lb = 40 * MIB_LB
    data = random.Random(2).randbytes(1 << 20)
    path = write_sorted(tmp_path / "d", [Io(at * MIB_LB, MIB_LB, NORMAL, data) for at in range(40)])
    seen: list[int] = []
    with tempfile.TemporaryFile(dir=tmp_path) as file:
        file.truncate(size_lb * 512)
        apply_wdiffs(file.fileno(), size_lb, [path], progress=seen.append)
        assert seen == sorted(seen) and seen[-1] == size_lb
        assert len(seen) >= 10
        seen.clear()
        with pytest.raises(Cancelled):
            apply_wdiffs(file.fileno(), size_lb, [path], cancelled=lambda: len(seen) >= 3, progress=seen.append)
        assert 3 <= len(seen) <= 2 + THREADS


def test_a_damaged_record_ends_the_work_naming_file_and_place(tmp_path: Path) -> None:
    path = write_sorted(tmp_path / "d", [Io(0, 1, NORMAL, random.Random(3).randbytes(512))])
    content = bytearray(path.read_bytes())
    content[32 + 4096] ^= 1
    path.write_bytes(content)
    with pytest.raises(Corrupted, match="/d: offset 4128: wrong checksum of the data of the record at block 0"):
        apply(IMAGE, [path])


def test_a_read_only_target_is_an_error_with_the_reason(tmp_path: Path) -> None:
    path = write_sorted(tmp_path / "d", [Io(0, 1, NORMAL, random.Random(3).randbytes(512))])
    (tmp_path / "image").write_bytes(IMAGE)
    with open(tmp_path / "image", "rb") as file, pytest.raises(StorageFailure, match="image: cannot write: Bad file"):
        apply_wdiffs(file.fileno(), DEVICE_LB, [path])
