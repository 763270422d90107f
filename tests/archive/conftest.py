"""A fresh base directory, and an archive at work in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.archive.archive_testing import RunningArchive, running_archive


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """An empty base directory."""
    folder = tmp_path / "base"
    folder.mkdir()
    return folder


@pytest.fixture
async def archive(base: Path) -> AsyncIterator[RunningArchive]:
    """An archive with volume v0 in SyncReady."""
    async with running_archive(base) as running:
        await running.call("init-vol", "v0")
        yield running
