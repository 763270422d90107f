"""Which cases of a test run by default; all of them run in `make test-long`."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Sequence
from typing import Any

import pytest


def sampled(count: int, values: Iterable[Any], *more: Iterable[Any]) -> list[Any]:
    """Parameters of a test (of several, the product): a seeded choice of `count` of them runs by default."""
    cases: list[Sequence[Any]] = list(itertools.product(values, *more))
    chosen = random.Random(f"{cases}").sample(range(len(cases)), min(count, len(cases)))
    marks = [() if index in chosen else (pytest.mark.long,) for index in range(len(cases))]
    return [pytest.param(*case, marks=mark) for case, mark in zip(cases, marks, strict=True)]
