"""Surroundings of a storage and of a proxy, and an environment that says nothing about servers."""

from __future__ import annotations

import os

import pytest

from tests.proxy.conftest import around, short_farewells  # noqa: F401 - fixtures
from tests.storage.conftest import group  # noqa: F401 - a fixture


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have servers of their own."""
    for name in os.environ:
        if name.startswith("WALBC_"):
            monkeypatch.delenv(name)
