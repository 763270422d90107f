"""Log that is lost, overwritten or damaged: shipping stops with the reason, the other volumes go on, and reset-vol with
a hash backup brings the volume back with all its older snapshots."""

from __future__ import annotations

import re

import pytest

from demo.group import wait_until
from tests.system.backup_group import MIB, BackedUpVolume
from tests.system.sampling import sampled


def status(volume: BackedUpVolume) -> str:
    return volume.group.walbc(volume.group.storage, "status", volume.name)


def hold_log_back(volume: BackedUpVolume) -> None:
    """From now on no log is taken."""
    volume.group.walbc(volume.group.proxy, "stop", volume.name, "--wait")


def bring_back(volume: BackedUpVolume) -> None:
    """The way out that messages and manual name."""
    group = volume.group
    if group.state(group.storage, volume.name) == "Target":
        group.walbc(group.storage, "stop", volume.name, "--wait")
    group.walbc(group.storage, "reset-vol", volume.name)
    if group.state(group.proxy, volume.name) == "Stopped":
        group.walbc(group.proxy, "start", volume.name)
    group.walbc(group.storage, "hash-bkp", volume.name, "--wait")
    volume.write(128 << 10)
    volume.snapshot()
    volume.check_snapshots()


def test_an_overflow_is_told_at_once_and_older_snapshots_survive_it(target: BackedUpVolume) -> None:
    group = target.group
    target.snapshot()
    target.wait_arrival()
    hold_log_back(target)
    target.write(MIB)
    lost = target.snapshot()
    del target.snapshots[lost]
    for _ in range(8):
        target.write(3 * MIB)
        group.wdevc("force-checkpoint", group.control_socket(target.device))
    group.wait_state(group.storage, target.name, "Stopped")
    assert group.walbc(group.storage, "get", "is-overflow", target.name).strip() == "1"
    assert group.walbc(group.storage, "get", "overflow-eta", target.name).strip() == "0"
    assert f"overflow:{target.name}" in status(target)
    assert f"overflow:{target.name}" in group.log_of(group.storage)
    assert "overflow" in group.ask(group.storage, "snapshot", target.name).error
    assert "reset-vol" in group.ask(group.storage, "start", target.name, "target").error
    assert lost not in target.restorable()
    bring_back(target)


@pytest.mark.parametrize("damage", sampled(1, ["pack", "super sector", "other log"]))
def test_a_log_that_is_not_what_it_was_is_not_sent(target: BackedUpVolume, damage: str) -> None:
    group = target.group
    other = group.volume(seed=17)
    try:
        other.back_up()
        target.snapshot()
        target.wait_arrival()
        hold_log_back(target)
        target.write(MIB)
        lost = target.snapshot()
        del target.snapshots[lost]
        spoil(target, damage)
        group.walbc(group.proxy, "start", target.name)
        group.walbc(group.storage, "kick")
        wait_until(lambda: "lastFailure" in status(target) and reason(target) is not None, 20, "the reason is shown")
        other.write(MIB)
        other.snapshot()
        other.check_snapshots()
        assert lost not in target.restorable()
        bring_back(target)
        assert "lastFailure" not in status(target)
    finally:
        other.remove()


def spoil(volume: BackedUpVolume, damage: str) -> None:
    group = volume.group
    if damage == "other log":
        group.wdevc("reset-wal", group.control_socket(volume.device))
        return
    path = group.folder / f"{volume.device}.ldev"
    text = group.walbc(group.storage, "status", volume.name)
    match = re.search(r"^LsidGid .* lsid (\d+) ", text, re.MULTILINE)
    pbs = int(re.findall(r"^pbs (\d+)", text, re.MULTILINE)[0])
    assert match
    super_sector = 4096
    place = super_sector if damage == "super sector" else super_sector + (2 + int(match[1])) * pbs
    with open(path, "r+b") as file:
        file.seek(place)
        file.write(b"\x5a" * 512)


def reason(volume: BackedUpVolume) -> str | None:
    """Why the last attempt failed, unless that was only for want of a proxy."""
    match = re.search(r"^lastFailure (.*)", status(volume), re.MULTILINE)
    return match[1] if match and "no available proxy" not in match[1] else None
