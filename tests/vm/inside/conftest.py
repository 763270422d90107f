"""Fixtures of the tests inside User Mode Linux."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm.inside.disks import LoopDevices


@pytest.fixture
def loops(tmp_path: Path) -> Iterator[LoopDevices]:
    """Makes loop devices, gone after the test."""
    devices = LoopDevices(tmp_path)
    yield devices
    devices.close()
