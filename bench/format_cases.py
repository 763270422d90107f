"""Figures of the data formats: time as a multiple of cp of the same input bytes, input and output on tmpfs."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.format_inputs import write_diffs, write_log
from bench.harness import Figure, absolute, median_pair, ratio, touch_memory

LOG_BYTES = 512 << 20
CONTENTS = ("compressible", "incompressible", "file system blocks")
SORTED_GOALS = (1.0, 1.5, 1.5)
INDEXED_GOALS = (0.8, 1.2, 1.2)
MEMORY_GOAL_MIB = 128
CODECS = {"none": "none:0:2", "lz4": "lz4:0:2", "snappy": "snappy:0:2", "zstd-1": "zstd:1:2"}


class Worker:
    """Runs bench.format_worker; remembers the largest memory."""

    def __init__(self, work: str, output: Path, inputs: list[Path], keeps_output: bool = False) -> None:
        self._command = [sys.executable, "-m", "bench.format_worker", work, str(output), *map(str, inputs)]
        self._output = output
        self._keeps_output = keeps_output
        self.memory_mib = 0.0

    def __call__(self) -> float:
        if not self._keeps_output:
            self._output.unlink(missing_ok=True)
        touch_memory()
        words = subprocess.run(self._command, check=True, capture_output=True, text=True).stdout.split()
        self.memory_mib = max(self.memory_mib, float(words[1]))
        return float(words[0])


def copying(inputs: list[Path], folder: Path) -> Callable[[], float]:
    """cp of the inputs, timed without the start of the process."""
    target = folder / "copies"
    target.mkdir(exist_ok=True)

    def run() -> float:
        for path in target.iterdir():
            path.unlink()
        touch_memory()
        started = time.perf_counter()
        subprocess.run(["cp", *inputs, target], check=True)
        return time.perf_counter() - started

    return run


def conversion(folder: Path, work: str, goals: tuple[float, ...]) -> Iterator[Figure]:
    """wlog to wdiff, three contents."""
    for content, goal in zip(CONTENTS, goals, strict=True):
        log = write_log(folder / "log", content, LOG_BYTES)
        worker = Worker(work, folder / "out", [log])
        ours, other = median_pair(worker, copying([log], folder))
        yield ratio(f"wlog -> {work} wdiff, {content} / cp", goal, ours, other)
        if work == "sorted":
            yield absolute(f"wlog -> {work} wdiff, {content}: memory", MEMORY_GOAL_MIB, worker.memory_mib, "MiB")


def memory_growth(folder: Path) -> Iterator[Figure]:
    """Peak memory of a conversion must not follow the length of the log."""
    peaks = []
    for size_bytes in (LOG_BYTES // 2, LOG_BYTES):
        worker = Worker("sorted", folder / "out", [write_log(folder / "log", "incompressible", size_bytes)])
        worker()
        peaks.append(worker.memory_mib)
    yield Figure("wlog -> sorted wdiff: memory, input doubled", "ratio", peaks[1] / peaks[0], 1.1, "lower",
                 peaks[1], peaks[0], "MiB", 1)  # fmt: skip


def merging(folder: Path) -> Iterator[Figure]:
    """Eight sorted diffs of 62 MiB."""
    for content in CONTENTS[1:]:
        for name, codec in CODECS.items():
            inputs = write_diffs(folder, content, 8, 62 << 20, codec)
            ours, other = median_pair(Worker(codec, folder / "out", inputs), copying(inputs, folder))
            yield ratio(f"merge of 8 sorted wdiffs, {content}, {name} / cp", 1.1, ours, other)


def applying(folder: Path) -> Iterator[Figure]:
    """A diff of 390 MiB onto an image that is there."""
    for content in CONTENTS[1:]:
        (diff,) = write_diffs(folder, content, 1, 390 << 20, "none:0:2")
        image = folder / "image"
        with open(image, "wb") as file:
            for _ in range(4 << 10):
                file.write(bytes(1 << 20))
        worker = Worker("apply", image, [diff], keeps_output=True)
        ours, other = median_pair(worker, copying([diff], folder))
        yield ratio(f"apply of 390 MiB, {content} / cp", 0.65, ours, other)
        image.unlink()


def hashing(folder: Path) -> Iterator[Figure]:
    """Block hashes against cat read by another process."""
    path = write_log(folder / "log", "incompressible", LOG_BYTES)

    def cat() -> float:
        touch_memory()
        started = time.perf_counter()
        subprocess.run(f"cat '{path}' | cat > /dev/null", shell=True, check=True)
        return time.perf_counter() - started

    ours, other = median_pair(Worker("hash", folder / "out", [path]), cat)
    yield ratio("block hash, 64 KiB chunks / cat", 0.3, ours, other)


def to_sorted(folder: Path) -> Iterator[Figure]:
    """wlog to sorted wdiff."""
    yield from conversion(folder, "sorted", SORTED_GOALS)


def to_indexed(folder: Path) -> Iterator[Figure]:
    """wlog to indexed wdiff."""
    yield from conversion(folder, "indexed", INDEXED_GOALS)


CASES = {
    "wlog-to-sorted": to_sorted,
    "wlog-to-sorted-memory": memory_growth,
    "wlog-to-indexed": to_indexed,
    "merge": merging,
    "apply": applying,
    "hash": hashing,
}
