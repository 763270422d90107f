"""The surroundings of a storage."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.group_testing import FakeArchive, FakeProxy
from tests.storage.fake_device import Devices, FakeDevice
from tests.storage.storage_testing import Group


@pytest.fixture
async def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Group]:
    """One device, one proxy, one archive; daemons find devices by name."""
    devices = Devices({"w0": FakeDevice(tmp_path / "dev")})
    monkeypatch.setattr("walbd.storage.volume.resolve_device", devices.resolve)
    proxy, archive = FakeProxy(), FakeArchive()
    await proxy.start()
    await archive.start()
    yield Group(tmp_path / "base", devices, proxy, archive)
    await proxy.stop()
    await archive.stop()


@pytest.fixture(autouse=True)
def short_farewells(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that a test holds does not read our last word: no reason to wait for it."""
    monkeypatch.setattr("walbd.net.connection.LINGER_SEC", 0.05)
