"""`make bench`, `make bench ONLY=pattern`."""

from __future__ import annotations

import argparse
import fnmatch
import shutil
import sys
import tempfile
from pathlib import Path

from bench.group_cases import CASES
from bench.harness import Figure, print_table, write_json

TMPFS = Path("/dev/shm")
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
    figures: list[Figure] = []
    for name in chosen:
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
