"""A full backup that was cut goes on where it was, as long as the log since its beginning is complete."""

from __future__ import annotations

import pytest

from demo.group import wait_until
from tests.system.backup_group import MIB, BackedUpVolume
from tests.system.sampling import sampled

CUT_BYTES = 5 * MIB // 2
# So that the archive keeps up: what a cut finds on its way is lost.
PIECE_SEC = 0.01


def cut_backup(volume: BackedUpVolume) -> None:
    """A full backup of 4 MiB of random bytes of which some 2 MiB arrive."""
    group = volume.group
    volume.fill()
    group.to_archive.delay(PIECE_SEC)
    group.to_archive.cut_after(CUT_BYTES)
    assert group.ask(group.storage, "full-bkp", volume.name, "--wait").status == 1
    group.to_archive.heal()
    for server in (group.storage, group.archive):
        group.wait_state(server, volume.name, "SyncReady")


def sent_bytes(volume: BackedUpVolume) -> int:
    """What the next full backup sends."""
    relay = volume.group.to_archive
    before = relay.passed[True]
    volume.back_up()
    return relay.passed[True] - before


def check(volume: BackedUpVolume) -> None:
    volume.write(64 << 10)
    volume.snapshot()
    volume.check_snapshots()


def test_only_the_rest_is_sent_and_writes_in_between_are_not_lost(volume: BackedUpVolume) -> None:
    group = volume.group
    cut_backup(volume)
    volume.write(MIB)
    volume.trim(0, 128 << 10)
    volume.trim(3 * MIB, 128 << 10)
    assert sent_bytes(volume) < volume.size_bytes - MIB
    assert f"goes on:{volume.name}" in group.log_of(group.storage)
    check(volume)


def test_it_goes_on_after_restarts_of_both_sides(volume: BackedUpVolume) -> None:
    group = volume.group
    cut_backup(volume)
    for server in (group.storage, group.archive):
        server.stop()
        group.restart(server)
        volume.write(64 << 10)
    assert sent_bytes(volume) < volume.size_bytes - MIB
    check(volume)


@pytest.mark.parametrize("way", sampled(1, ["standby", "reset at the archive", "log cleared"]))
def test_it_begins_anew_when_log_or_image_are_not_those_any_more(volume: BackedUpVolume, way: str) -> None:
    group = volume.group
    cut_backup(volume)
    volume.write(256 << 10)
    if way == "reset at the archive":
        group.walbc(group.archive, "reset-vol", volume.name)
    elif way == "log cleared":
        group.wdevc("reset-wal", group.control_socket(volume.device))
    else:
        group.walbc(group.storage, "start", volume.name, "standby")
        group.wdevc("force-checkpoint", group.control_socket(volume.device))
        wait_until(lambda: "usage_pb:0\t" in usage(volume), 20, "the standby has given its log free")
        group.walbc(group.storage, "stop", volume.name, "--wait")
    assert sent_bytes(volume) >= volume.size_bytes
    check(volume)


def usage(volume: BackedUpVolume) -> str:
    return volume.group.walbc(volume.group.storage, "get", "log-usage", volume.name)
