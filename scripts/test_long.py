"""`make test-long`: everything, for as long as it takes; appends seed, count and result to docs/long-runs.md.

scripts/test_long.py [PYTEST ARGUMENTS]      e.g. tests/wdiff, to run it in pieces
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOG = ROOT / "docs" / "long-runs.md"
HEAD = """# Long runs

One line per run of `make test-long` or a piece of it, and of a driver of `make -C native fuzz`.

| when (UTC) | commit | seed | what | seconds | result |
|:--|:--|--:|:--|--:|:--|
"""
LAST_LINE = re.compile(r"\d+ (?:passed|failed|error).*")


def main() -> int:
    """Runs pytest over the long and the short tests; returns its exit status."""
    what = sys.argv[1:] or ["tests"]
    seed = random.SystemRandom().randrange(1, 2**31)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--randomly-seed={seed}"]
    command += [f"--hypothesis-seed={seed}", "--timeout=7200"]
    started = time.monotonic()
    # Property tests read this to run their whole count instead of a sample.
    environment = {**os.environ, "WALB_LONG": "1"}
    run = subprocess.Popen([*command, *what], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    last = ""
    for line in run.stdout:
        print(line, end="", flush=True)
        if match := LAST_LINE.search(line):
            last = match.group(0).strip()
    status = run.wait()
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    elapsed = round(time.monotonic() - started)
    if not LOG.exists():
        LOG.write_text(HEAD)
    with open(LOG, "a") as log:
        log.write(f"| {now} | {commit} | {seed} | {' '.join(what)} | {elapsed} | {last or f'exit {status}'} |\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
