"""What the group is for, in small; the demo tells the long story."""

from __future__ import annotations

from tests.system.backup_group import MIB, BackedUpVolume


def test_every_snapshot_is_restored_as_it_was(target: BackedUpVolume) -> None:
    for _ in range(3):
        target.write(MIB)
        target.snapshot()
    target.check_snapshots()
