"""The guide's first pages, and those whose group is as before at their end."""

from __future__ import annotations

import pytest

from tests.guide.runner import play

pytestmark = pytest.mark.timeout(600)


def test_design_servers_devices_first_backup_snapshots_overflow_and_lost_data() -> None:
    play("design.md", "snapshots.md", "overflow.md", "lost.md")
