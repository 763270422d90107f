"""Log files to sorted and indexed wdiff files."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wdiff.wdiff_oracle import DISCARD, NORMAL, ZERO, Io, header, indexed, normalised
from tests.wdiff.wdiff_testing import (
    HISTORY,
    UUID,
    Conversion,
    apply,
    convert_files,
    draining,
    log_file,
    make_log,
    replay,
    to_write,
)
from tests.wlog.log_oracle import Write
from tests.wlog.log_strategies import DEVICE_LB
from walbd.model.error import Corrupted, StorageFailure
from walbd.wdiff import builder
from walbd.wdiff.builder import LogOptions
from walbd.wdiff.indexed import log_to_indexed
from walbd.wdiff.reader import RecordKind, WdiffReader
from walbd.wdiff.sorted import log_to_sorted

CONVERSIONS = pytest.mark.parametrize("conversion", [log_to_sorted, log_to_indexed])
PARTS = st.lists(HISTORY, min_size=1, max_size=4)


def read_back(path: Path) -> list[Io]:
    with WdiffReader(path) as reader:
        assert reader.header.uuid == UUID
        return [
            Io(r.address_lb, r.blocks_lb, r.kind, reader.data(r) if r.kind is RecordKind.NORMAL else b"")
            for r in reader
        ]


def write_logs(folder: Path, histories: list[list[Io]], pbs: int = 512) -> tuple[list[Path], int]:
    """Log files that follow each other, and the lsid behind them."""
    paths, lsid = [], 0
    for number, history in enumerate(histories):
        log, end = make_log([to_write(io) for io in history], pbs, lsid)
        paths.append(folder / f"{number}.wlog")
        paths[-1].write_bytes(log_file(log, pbs, lsid))
        lsid = end
    return paths, lsid


@given(
    histories=PARTS,
    pbs=st.sampled_from([512, 4096]),
    max_io_lb=st.sampled_from([0, 1, 3, 8, 2048]),
    threads=st.integers(1, 3),
    pipe=st.booleans(),
)
def test_sorted_records_are_those_of_the_plain_algorithm(
    tmp_path_factory: pytest.TempPathFactory,
    histories: list[list[Io]],
    pbs: int,
    max_io_lb: int,
    threads: int,
    pipe: bool,
) -> None:
    folder = tmp_path_factory.getbasetemp()
    logs, end_lsid = write_logs(folder, histories, pbs)
    options = LogOptions(max_io_lb, threads, folder)
    converted = convert_files(log_to_sorted, logs, folder / "d", options, pipe)
    ios = [io for history in histories for io in history]
    expected = normalised(ios, max_io_lb or DEVICE_LB)
    seen = read_back(folder / "d")
    assert [io.shape for io in seen] == split_zeros(expected, seen)
    assert replay(bytes(DEVICE_LB * 512), seen) == replay(bytes(DEVICE_LB * 512), expected)
    assert (converted.uuid, converted.begin_lsid, converted.end_lsid) == (UUID, 0, end_lsid)
    assert (converted.n_ios, converted.size_bytes) == (len(ios), (folder / "d").stat().st_size)


def split_zeros(expected: list[Io], seen: list[Io]) -> list[tuple[int, int, int]]:
    """Shapes of the expected records, those normal ones as zeros that hold nothing else and are zeros as seen."""
    zeros = {(io.address, io.blocks) for io in seen if io.kind == ZERO}
    return [
        (io.address, io.blocks, ZERO) if (io.address, io.blocks) in zeros and not any(io.data) else io.shape
        for io in expected
    ]


@given(histories=PARTS, threads=st.integers(1, 3), pipe=st.booleans(), max_io_lb=st.sampled_from([0, 8, 11, 2048]))
def test_indexed_records_are_those_of_the_plain_algorithm(
    tmp_path_factory: pytest.TempPathFactory, histories: list[list[Io]], threads: int, pipe: bool, max_io_lb: int
) -> None:
    folder = tmp_path_factory.getbasetemp()
    logs, end_lsid = write_logs(folder, histories)
    converted = convert_files(log_to_indexed, logs, folder / "d", LogOptions(max_io_lb, threads, folder), pipe)
    ios = [io for history in histories for io in history]
    piece_lb = 1 << (max_io_lb or DEVICE_LB * 2).bit_length() - 1
    assert read_back(folder / "d") == indexed(ios, piece_lb)
    assert (converted.end_lsid, converted.n_ios) == (end_lsid, len(ios))


@CONVERSIONS
@pytest.mark.parametrize("pipe", [False, True])
def test_a_log_of_many_parts_gives_the_same_file_each_time(tmp_path: Path, conversion: Conversion, pipe: bool) -> None:
    rnd = random.Random(5)
    ios = []
    for number in range(1500):
        blocks = rnd.choice([1, 8, 40, 64])
        data = rnd.randbytes(blocks * 512) if number % 3 else bytes([number % 251 + 1]) * (blocks * 512)
        ios.append(Io(rnd.randrange(DEVICE_LB - 64), blocks, NORMAL, data))
    logs, _ = write_logs(tmp_path, [ios[:700], ios[700:]])
    contents = []
    for threads in (1, 2, 4):
        convert_files(conversion, logs, tmp_path / "d", LogOptions(threads=threads, folder=tmp_path), pipe)
        contents.append((tmp_path / "d").read_bytes())
    assert contents[0] == contents[1] == contents[2]
    image = bytes(DEVICE_LB * 512)
    assert apply(image, [tmp_path / "d"])[0] == replay(image, ios)
    assert not [path for path in tmp_path.iterdir() if path.suffix not in (".wlog", "")]


@given(histories=PARTS, threads=st.integers(1, 3), pipe=st.booleans(), run_records=st.integers(1, 9))
def test_more_records_than_memory_may_hold_give_the_same_files(
    tmp_path_factory: pytest.TempPathFactory, histories: list[list[Io]], threads: int, pipe: bool, run_records: int
) -> None:
    folder = tmp_path_factory.getbasetemp()
    logs, _ = write_logs(folder, histories)
    options = LogOptions(threads=threads, folder=folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builder, "MAX_RUN_RECORDS", run_records)
        convert_files(log_to_sorted, logs, folder / "sorted", options, pipe)
        convert_files(log_to_indexed, logs, folder / "indexed", options, pipe)
    ios = [io for history in histories for io in history]
    assert read_back(folder / "sorted") == normalised(ios)
    assert read_back(folder / "indexed") == indexed(ios)


@CONVERSIONS
def test_no_input_gives_a_valid_empty_file(tmp_path: Path, conversion: Conversion) -> None:
    convert_files(conversion, [], tmp_path / "d")
    with WdiffReader(tmp_path / "d") as reader:
        assert list(reader) == [] and reader.header.uuid == bytes(16)


def test_a_long_discard_and_long_zeros_are_not_cut(tmp_path: Path) -> None:
    logs, _ = write_logs(tmp_path, [[Io(100, 5000, DISCARD), Io(9001, 5000, ZERO)]])
    convert_files(log_to_sorted, logs, tmp_path / "d")
    assert read_back(tmp_path / "d") == [Io(100, 5000, DISCARD), Io(9001, 5000, ZERO)]


@pytest.mark.parametrize("max_io_lb", [0, 2048, 100])
def test_a_long_write_is_cut_from_its_own_start(tmp_path: Path, max_io_lb: int) -> None:
    ios = [Io(1001, 9000, NORMAL, random.Random(1).randbytes(9000 * 512)), Io(3000, 50, DISCARD)]
    logs, _ = write_logs(tmp_path, [ios])
    convert_files(log_to_sorted, logs, tmp_path / "d", LogOptions(max_io_lb, 2, tmp_path))
    assert read_back(tmp_path / "d") == normalised(ios, max_io_lb or 9000)


@CONVERSIONS
@pytest.mark.parametrize("pipe", [False, True])
def test_a_log_that_does_not_go_on_is_refused(tmp_path: Path, conversion: Conversion, pipe: bool) -> None:
    logs, _ = write_logs(tmp_path, [[Io(0, 8, DISCARD)], [Io(8, 8, DISCARD)], [Io(16, 8, DISCARD)]])
    with pytest.raises(Corrupted, match=r"begins at lsid 2 "):
        convert_files(conversion, [logs[0], logs[2]], tmp_path / "d", pipe=pipe)
    stranger = tmp_path / "stranger"
    stranger.write_bytes(log_file(b"", 512, 1, b"another uuid 16!"))
    with pytest.raises(Corrupted, match=b"another uuid 16!".hex()):
        convert_files(conversion, [logs[0], stranger], tmp_path / "d", pipe=pipe)


@CONVERSIONS
@pytest.mark.parametrize("pipe", [False, True])
@given(data=st.data())
def test_a_log_that_is_cut_or_damaged_is_refused(
    tmp_path_factory: pytest.TempPathFactory, conversion: Conversion, pipe: bool, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp()
    log, _ = make_log([Write(number * 20, 9, bytes([1, number % 256]) * (9 * 256)) for number in range(40)])
    content = bytearray(log_file(log))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(1, len(content) - 1)) :]
    else:
        # The last block is the end block: its checksum is not looked at, and the rest of it is not covered.
        content[data.draw(st.integers(0, len(content) - 513))] ^= 1 << data.draw(st.integers(0, 7))
    path = folder / "damaged.wlog"
    path.write_bytes(content)
    with pytest.raises(Corrupted) as caught:
        convert_files(conversion, [path], folder / "d", pipe=pipe)
    assert pipe or "damaged.wlog" in str(caught.value)


@CONVERSIONS
@pytest.mark.parametrize("pipe", [False, True])
def test_a_missing_end_block_may_be_allowed(tmp_path: Path, conversion: Conversion, pipe: bool) -> None:
    log, end_lsid = make_log([Write(3, 4, None)])
    (tmp_path / "log").write_bytes(log_file(log, ends=False))
    with pytest.raises(Corrupted, match=r"lsid 1: .*end block"):
        convert_files(conversion, [tmp_path / "log"], tmp_path / "d", pipe=pipe)
    lenient = LogOptions(folder=tmp_path, strict=False)
    assert convert_files(conversion, [tmp_path / "log"], tmp_path / "d", lenient, pipe).end_lsid == end_lsid
    assert [io.shape for io in read_back(tmp_path / "d")] == [
        io.shape for io in (indexed if conversion is log_to_indexed else normalised)([Io(3, 4, DISCARD)])
    ]


@CONVERSIONS
def test_a_full_output_is_an_error_and_ends_all_threads(tmp_path: Path, conversion: Conversion) -> None:
    ios = [Io(number * 64, 64, NORMAL, os.urandom(64 * 512)) for number in range(200)]
    logs, _ = write_logs(tmp_path, [ios])
    with (
        open("/dev/full", "wb", buffering=0) as full,
        open(logs[0], "rb", buffering=0) as log,
        pytest.raises(StorageFailure, match="No space left"),
    ):
        conversion([log], full.fileno(), LogOptions(threads=3, folder=tmp_path))


def test_an_output_through_a_pipe_is_the_same(tmp_path: Path) -> None:
    logs, _ = write_logs(tmp_path, [[Io(0, 8, NORMAL, os.urandom(4096)), Io(4, 1, ZERO)]])
    convert_files(log_to_sorted, logs, tmp_path / "file")
    with draining(tmp_path / "pipe") as fd, open(logs[0], "rb", buffering=0) as log:
        log_to_sorted([log], fd, LogOptions(folder=tmp_path))
    assert (tmp_path / "file").read_bytes() == (tmp_path / "pipe").read_bytes()
    assert (tmp_path / "file").read_bytes()[:32] == header(0, UUID)


MEASURE = """
import re, sys
from pathlib import Path
from io import FileIO
from walbd.wdiff.sorted import log_to_sorted
from walbd.wdiff.builder import LogOptions
with open(sys.argv[2], "w+b", buffering=0) as out:
    log_to_sorted([FileIO(sys.argv[1])], out.fileno(), LogOptions(threads=2, folder=Path(sys.argv[2]).parent))
print(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def test_memory_does_not_grow_with_the_log(tmp_path: Path) -> None:
    data = random.Random(2).randbytes(64 * 512)
    peaks = []
    for count in (1000, 3000):
        logs, _ = write_logs(tmp_path, [[Io(number * 64, 64, NORMAL, data) for number in range(count)]])
        run = subprocess.run(
            [sys.executable, "-c", MEASURE, str(logs[0]), str(tmp_path / "d")],
            capture_output=True,
            check=True,
            text=True,
        )
        peaks.append(int(run.stdout))
    assert peaks[1] < peaks[0] + 4096 and peaks[1] < 128 << 10
