"""`make -C native fuzz`: runs each libFuzzer driver for a time and prints what it did, as rows of docs/long-runs.md.

New inputs are kept beside the programs and used again; the committed corpus is only read. Exit status 1 on findings.
"""

from __future__ import annotations

import argparse
import random
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CORPUS = ROOT / "native" / "fuzz" / "corpus"
LOG = ROOT / "docs" / "long-runs.md"
EXECUTED = re.compile(r"stat::number_of_executed_units: (\d+)")
COVERED = re.compile(r"cov: (\d+)")
EDGES = re.compile(r"\((\d+) inline 8-bit counters\)")
MAX_INPUT_BYTES = 65536


def last_number(pattern: re.Pattern[str], text: str) -> int:
    """The last number that a pattern finds, 0 when it finds none."""
    return int(([0, *pattern.findall(text)])[-1])


def commit_now() -> str:
    """What is being fuzzed: asked before it starts."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def run(program: Path, seconds: int, commit: str) -> tuple[str, bool]:
    """Runs one driver; returns its row and whether it found something."""
    name = program.name.removeprefix("fuzz_")
    kept, found = program.parent / "corpus" / name, program.parent / "found" / name
    kept.mkdir(parents=True, exist_ok=True)
    found.mkdir(parents=True, exist_ok=True)
    before = set(found.iterdir())
    seed = random.SystemRandom().randrange(1, 2**31)
    options = [f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={MAX_INPUT_BYTES}", "-print_final_stats=1",
               "-rss_limit_mb=4096", "-timeout=25", f"-artifact_prefix={found}/"]  # fmt: skip
    command = [str(program), *options, str(kept), str(CORPUS / name)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    findings = sorted(set(found.iterdir()) - before)
    if done.returncode != 0 or findings:
        (found / "last.log").write_text(done.stderr)
    result = (
        f"{last_number(EXECUTED, done.stderr)} executions, {last_number(COVERED, done.stderr)} of "
        f"{last_number(EDGES, done.stderr)} edges, {len(findings)} findings"
    )
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    row = f"| {now} | {commit} | {seed} | fuzz {name} | {seconds} | {result} |"
    return row, done.returncode != 0 or bool(findings)


def main() -> int:
    """Runs all drivers, or those named, two at a time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=Path, help="folder of the programs")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--only", help="names, with commas between")
    parser.add_argument("--log", action="store_true", help="append the rows to docs/long-runs.md")
    options = parser.parse_args()
    only = options.only.split(",") if options.only else []
    programs = [path for path in sorted(options.build.resolve().glob("fuzz_*")) if not path.suffix]
    programs = [path for path in programs if not only or path.name.removeprefix("fuzz_") in only]
    has_found, commit = False, commit_now()
    with ThreadPoolExecutor(2) as pool:
        for row, found in pool.map(lambda program: run(program, options.seconds, commit), programs):
            print(row, flush=True)
            has_found |= found
            if options.log:
                with open(LOG, "a") as log:
                    log.write(row + "\n")
    return int(has_found or not programs)


if __name__ == "__main__":
    sys.exit(main())
