"""`make bench`, `make bench ONLY=pattern`."""

from __future__ import annotations

import argparse
import fnmatch
import shutil
import sys
import tempfile
from pathlib import Path

from bench import archive_cases, command_cases, device_cases, format_cases, group_cases, shipping_cases
from bench.harness import Figure, print_table, write_json

CASES = {
    **archive_cases.CASES,
    **command_cases.CASES,
    **device_cases.CASES,
    **format_cases.CASES,
    **group_cases.CASES,
    **shipping_cases.CASES,
}
NEEDED_PROGRAMS = {
    **dict.fromkeys(("device-disk", "device-tmpfs"), device_cases.LOAD_PROGRAMS),
    "archive-restore-growth": ("mkfs.xfs",),
}
TMPFS = Path("/dev/shm")
# Volume, image and copy of 1 GiB each, and the 2.5 GiB that are touched before each run, all in memory.
NEEDED_BYTES = 6 << 30
RESULT = Path(__file__).resolve().parent.parent / "build" / "bench.json"


def main() -> int:
    """Runs the chosen cases; the exit status tells whether they could be run, not whether goals were met."""
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("--only", default="*", help="names of cases, shell pattern")
    only = parser.parse_args().only
    chosen = [name for name in CASES if fnmatch.fnmatch(name, only) or only in name]
    if not chosen:
        print(f"no case matches {only}; there are: {' '.join(CASES)}", file=sys.stderr)
        return 1
    free_bytes = shutil.disk_usage(TMPFS).free if TMPFS.is_dir() else 0
    if free_bytes < NEEDED_BYTES:
        print(
            f"{TMPFS} has {free_bytes >> 20} MiB free, {NEEDED_BYTES >> 20} are needed: make it larger", file=sys.stderr
        )
        return 1
    figures: list[Figure] = []
    for name in chosen:
        missing = [program for program in NEEDED_PROGRAMS.get(name, ()) if shutil.which(program) is None]
        if missing:
            print(f"skipping {name}: needs {' and '.join(missing)}", flush=True)
            continue
        print(f"running {name} ...", flush=True)
        folder = Path(tempfile.mkdtemp(prefix="walb-bench-", dir=TMPFS))
        try:
            figures += CASES[name](folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    print_table(figures)
    write_json(figures, RESULT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
