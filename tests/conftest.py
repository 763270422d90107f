"""Settings of the whole suite: how many examples property tests run, and where golden files lie."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# `make test` runs a seeded sample; `make test-long` sets WALB_LONG and runs many more examples.
IS_LONG = bool(os.environ.get("WALB_LONG"))
COMMON = dict(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], database=None)
settings.register_profile("sample", max_examples=40, **COMMON)
settings.register_profile("long", max_examples=5000, **COMMON)
settings.load_profile("long" if IS_LONG else "sample")

_used_vectors: set[Path] = set()


class Vectors:
    """Golden files; every one that a test asks for is counted."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __call__(self, *parts: str) -> Path:
        """The path of a golden file or folder."""
        path = self.root.joinpath(*parts)
        assert path.exists(), f"no golden file {path}"
        _used_vectors.add(path)
        return path


@pytest.fixture(scope="session")
def vectors() -> Vectors:
    """Golden files of the reference; skips the test when they are not there."""
    root = os.environ.get("WALB_VECTORS")
    if not root:
        pytest.skip("WALB_VECTORS is not set: golden files of the reference are not here")
    return Vectors(Path(root))


@pytest.fixture
def seed(pytestconfig: pytest.Config) -> int:
    """Of this run: `make test SEED=n` draws another sample."""
    return int(getattr(pytestconfig.option, "randomly_seed", 1) or 1)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The one long test comes first, whatever the order: another process does the others meanwhile."""
    items.sort(key=lambda item: "tests/vm/" not in item.nodeid)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """One of several test processes tells the first which golden files it used."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["used_vectors"] = [str(path) for path in _used_vectors]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """The first process hears that another one has ended."""
    _used_vectors.update(map(Path, getattr(node, "workeroutput", {}).get("used_vectors", ())))


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says how many golden files were used."""
    if _used_vectors:
        terminalreporter.write_line(f"golden files used: {len(_used_vectors)}")
