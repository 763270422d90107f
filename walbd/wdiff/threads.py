"""One call of the C core in several threads at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from walbd._core import lib
from walbd.model.error import WalbError
from walbd.wdiff.native import new_failure


def run_threads(n_threads: int, work: Callable[[Any], int], error: Callable[[Any], WalbError]) -> None:
    """Calls `work(failure)` in n_threads threads, this one among them, and waits for all. When any failed, raises the
    error of the first that did not fail because of another."""
    failures = [new_failure() for _ in range(n_threads)]
    if n_threads == 1:
        results = [work(failures[0])]
    else:
        with ThreadPoolExecutor(n_threads - 1, "wdiff") as pool:
            others = [pool.submit(work, failure) for failure in failures[1:]]
            results = [work(failures[0]), *(other.result() for other in others)]
    failed = [failure for result, failure in zip(results, failures, strict=True) if result < 0]
    for failure in failed:
        if failure.code != lib.WALB_FAIL_STOPPED:
            raise error(failure)
