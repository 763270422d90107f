"""The surroundings of a proxy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.group_testing import FakeArchive
from tests.proxy.proxy_testing import Surroundings
from tests.storage.fake_device import FakeDevice


@pytest.fixture
async def around(tmp_path: Path) -> AsyncIterator[Surroundings]:
    """Two archives and a device."""
    archives = {"a0": FakeArchive("a0"), "a1": FakeArchive("a1")}
    for archive in archives.values():
        await archive.start()
    yield Surroundings(tmp_path / "base", archives, FakeDevice(tmp_path / "dev"))
    for archive in archives.values():
        await archive.stop()


@pytest.fixture(autouse=True)
def short_farewells(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that a test holds does not read our last word: no reason to wait for it."""
    monkeypatch.setattr("walbd.net.connection.LINGER_SEC", 0.05)
