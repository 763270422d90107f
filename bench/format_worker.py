"""One run of one piece of work on data formats in a process of its own; prints seconds and peak memory in MiB.

python -m bench.format_worker WORK OUTPUT INPUT ...
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from walbd.model.compression import CompressOpt
from walbd.wdiff.apply import Discard, apply_wdiffs
from walbd.wdiff.builder import LogOptions
from walbd.wdiff.hashes import hash_chunks
from walbd.wdiff.indexed import log_to_indexed
from walbd.wdiff.merge import merge_to_file
from walbd.wdiff.sorted import log_to_sorted

CHUNK_BYTES = 64 << 10


def convert(convert_log: Callable[..., object], out_fd: int, inputs: list[Path]) -> None:
    """Logs to a diff."""
    with ExitStack() as stack:
        streams = [stack.enter_context(open(path, "rb", buffering=0)) for path in inputs]
        convert_log(streams, out_fd, LogOptions(folder=inputs[0].parent))


def merge(codec: str, out_fd: int, inputs: list[Path]) -> None:
    """Diffs to one."""
    merge_to_file(inputs, out_fd, CompressOpt.parse(codec))


def apply(out_fd: int, inputs: list[Path]) -> None:
    """A diff onto an existing image."""
    apply_wdiffs(out_fd, os.fstat(out_fd).st_size // 512, inputs, Discard.ZERO, lambda: False, lambda _: None)


def block_hash(inputs: list[Path]) -> None:
    """Digests of all chunks of a file."""
    with open(inputs[0], "rb", buffering=0) as file:
        for _ in hash_chunks(file.fileno(), CHUNK_BYTES, 0, os.fstat(file.fileno()).st_size):
            pass


def peak_memory_mib() -> float:
    """Largest resident memory of this program (getrusage would count that of the process it was forked from)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def main() -> None:
    """Does it."""
    work, output, *rest = sys.argv[1:]
    inputs = [Path(path) for path in rest]
    flags = os.O_RDWR | os.O_CREAT | (0 if work == "apply" else os.O_TRUNC)
    fd = os.open(output, flags, 0o600)
    begin = time.perf_counter()
    if work == "sorted":
        convert(log_to_sorted, fd, inputs)
    elif work == "indexed":
        convert(log_to_indexed, fd, inputs)
    elif work == "apply":
        apply(fd, inputs)
    elif work == "hash":
        block_hash(inputs)
    else:
        merge(work, fd, inputs)
    print(time.perf_counter() - begin, peak_memory_mib())


if __name__ == "__main__":
    main()
