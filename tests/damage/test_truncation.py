"""Files of each format cut at every byte: an error that names the file and the place, never a crash."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.damage.damage_testing import SAMPLES, Sample, memory_file, queue_file, sorted_wdiff
from tests.wdiff.wdiff_testing import merge
from walbd.model.error import Corrupted

# Where a format ends; what a file holds behind it may be cut off.
SPARE = {"sorted wdiff": 16, "queue file": len(queue_file().content) - (56 + 3 * 16 + 33 + 16)}


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_file_cut_at_any_byte_is_refused_with_the_place(sample: Sample) -> None:
    needed = len(sample.content) - SPARE.get(sample.name, 0)
    with memory_file(sample.content) as file:
        before = sample.read(file)
        for size in range(len(sample.content) - 1, -1, -1):
            os.ftruncate(file.fd, size)
            if size >= needed:
                assert sample.read(file) == before
                continue
            with pytest.raises(Corrupted) as raised:
                sample.read(file)
            assert re.search(r"offset \d+: ", raised.value.message), raised.value.message


def test_a_cut_diff_is_refused_by_merging_with_its_name(tmp_path: Path) -> None:
    whole = sorted_wdiff()
    (tmp_path / "x.wdiff").write_bytes(whole.content)
    for size in range(len(whole.content) - 17, -1, -7):
        os.truncate(tmp_path / "x.wdiff", size)
        with pytest.raises(Corrupted, match=r"x\.wdiff: offset \d+: "):
            merge([tmp_path / "x.wdiff"])
