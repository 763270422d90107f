"""The guide's first pages, and those whose group is as before at their end."""

from __future__ import annotations

import pytest

from tests.guide.runner import play

pytestmark = pytest.mark.timeout(300)


def test_design_servers_devices_first_backup_snapshots_and_overflow() -> None:
    play("design.md", "snapshots.md", "overflow.md")
