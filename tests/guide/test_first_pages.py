"""The guide's first pages, and those whose group is as before at their end."""

from __future__ import annotations

from tests.guide.runner import play


def test_servers_devices_first_backup_snapshots_and_overflow() -> None:
    play("snapshots.md", "overflow.md")
