"""Random histories through log, diffs and merges to an image, against a replay of them byte by byte."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import IS_LONG
from tests.histories.history import (
    LB,
    History,
    MemoryFiles,
    diffs_of,
    draw_history,
    merge_in_any_grouping,
    merge_to,
    records_of,
)
from walbd.model.compression import CompressOpt
from walbd.wdiff.apply import Discard, apply_wdiffs
from walbd.wdiff.virtual import VirtualImage

# WALB_HISTORIES is for running the long run in pieces.
N_HISTORIES = int(os.environ.get("WALB_HISTORIES", "100000" if IS_LONG else "1000"))
N_BATCHES = 10
NONE = CompressOpt.parse("none:0:1")


@pytest.fixture
def files() -> Iterator[MemoryFiles]:
    made = MemoryFiles()
    yield made
    made.close()


@pytest.fixture
def first_seed(request: pytest.FixtureRequest) -> int:
    """Differs from run to run with the seed of the suite."""
    return int(request.config.getoption("randomly_seed")) * 1_000_000_007


def applied(history: History, paths: list[Path], files: MemoryFiles) -> bytes:
    """The volume after applying them one group after the other, the first group twice: that changes nothing."""
    fd, _ = files.new()
    os.pwrite(fd, history.before(), 0)
    rnd = random.Random(history.seed ^ 4)
    cut = rnd.randint(0, len(paths))
    for group in (paths[:cut], paths[:cut], paths[cut:]) if rnd.random() < 0.2 else (paths,):
        apply_wdiffs(fd, history.size_lb, group, Discard.ZERO)
    return os.pread(fd, history.size_lb * LB + 1, 0)


def seen(history: History, paths: list[Path], files: MemoryFiles) -> bytes:
    """The virtual image over the volume, read in random pieces."""
    fd, _ = files.new()
    os.pwrite(fd, history.before(), 0)
    size = history.size_lb * LB
    room = random.Random(history.seed ^ 5).choice((size + 1, 4097 + size // 9))
    buffer, parts = memoryview(bytearray(room)), []
    with VirtualImage(fd, paths, size) as image:
        while n := image.read(buffer):
            parts.append(bytes(buffer[:n]))
    return b"".join(parts)


def check(history: History, files: MemoryFiles) -> None:
    diffs = diffs_of(history, files)
    expected = history.after()
    merged = merge_in_any_grouping(diffs, random.Random(history.seed ^ 3), files)
    assert applied(history, merged, files) == expected
    if len(diffs) > 1 and len(merged) == 1:
        at_once = merge_to(diffs, NONE, files)
        assert records_of(at_once) == records_of(merged[0])
        assert applied(history, [at_once], files) == expected
    assert seen(history, diffs if history.seed % 2 else merged, files) == expected


def check_all(check_one: Callable[[History], None], files: MemoryFiles, first: int, count: int) -> None:
    """Checks histories of following seeds; names the one that fails."""
    for seed in range(first, first + count):
        files.reuse()
        try:
            check_one(draw_history(seed))
        except Exception as error:
            error.add_note(f"history {seed}: draw_history({seed})")
            raise


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("batch", range(N_BATCHES))
def test_diffs_of_a_log_merged_in_any_grouping_give_the_replayed_history(
    batch: int, files: MemoryFiles, first_seed: int
) -> None:
    count = N_HISTORIES // N_BATCHES
    check_all(lambda history: check(history, files), files, first_seed + batch * count, count)
