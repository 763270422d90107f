"""How a figure is taken: one pair discarded, then pairs in alternation, medians of 5, the ratio of the two."""

from __future__ import annotations

import json
import mmap
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

RUNS = 5
TOUCH_BYTES = 2560 << 20
PAGE_BYTES = 4096

Timed = Callable[[], float]


@dataclass(frozen=True)
class Figure:
    """One line of the table and one object of bench.json."""

    name: str
    kind: str
    value: float
    goal: float
    better: str
    ours: float
    other: float | None
    unit: str
    runs: int

    @property
    def is_met(self) -> bool:
        """Whether the goal is reached."""
        return self.value <= self.goal if self.better == "lower" else self.value >= self.goal


def touch_memory() -> None:
    """Touches and frees memory: virtual machines give freed pages back, and the first touch of a page is slow."""
    with mmap.mmap(-1, TOUCH_BYTES) as memory:
        for offset in range(0, TOUCH_BYTES, PAGE_BYTES):
            memory[offset] = 1


def timed(action: Callable[[], object]) -> float:
    """Seconds an action takes."""
    touch_memory()
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def median_pair(ours: Timed, other: Timed) -> tuple[float, float]:
    """Medians of both, measured in alternation after one discarded pair."""
    ours(), other()
    pairs = [(ours(), other()) for _ in range(RUNS)]
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


def ratio(name: str, goal: float, ours: float, other: float, better: str = "lower", unit: str = "s") -> Figure:
    """Of two times: ours / other (lower is better), or the ratio of the rates, other / ours (higher is better)."""
    value = ours / other if better == "lower" else other / ours
    return Figure(name, "ratio", value, goal, better, ours, other, unit, RUNS)


def absolute(name: str, goal: float, value: float, unit: str) -> Figure:
    """A figure that is compared with its goal alone."""
    return Figure(name, "absolute", value, goal, "lower", value, None, unit, 1)


def print_table(figures: list[Figure]) -> None:
    """One line per figure."""
    width = max((len(figure.name) for figure in figures), default=4)
    print(f"\n{'figure':{width}}  {'value':>8}  {'goal':>8}  {'ours':>10}  {'other':>10}")
    for figure in figures:
        sign = "<=" if figure.better == "lower" else ">="
        other = f"{figure.other:.3f} {figure.unit}" if figure.other is not None else ""
        print(
            f"{figure.name:{width}}  {figure.value:>8.2f}  {sign}{figure.goal:>6.2f}"
            f"  {figure.ours:>7.3f} {figure.unit:3}{other:>10}  {'' if figure.is_met else 'MISSED'}"
        )


def write_json(figures: list[Figure], path: Path) -> None:
    """build/bench.json: a list of objects."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(figure) for figure in figures], indent=1) + "\n")
