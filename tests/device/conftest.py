"""Fixtures of the tests of walb devices."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.device.engine_rig import Rig
from tests.device.walb_devices import Pair


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    rig = Rig(Pair(tmp_path, log_bytes=64 << 10))
    try:
        yield rig
    finally:
        for gate in rig.files.gates.values():
            gate.set()
        rig.engine.stop()
        rig.files.close()
