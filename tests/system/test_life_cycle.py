"""Stop, reset, clear and start anew; two volumes at once; discards; waiting for work that fails."""

from __future__ import annotations

import pytest

from demo.group import wait_until
from tests.system.backup_group import MIB, BackedUpVolume, RelayedGroup, check_same


def test_discarded_ranges_read_as_zeros_on_device_base_image_and_restored_volume(volume: BackedUpVolume) -> None:
    group = volume.group
    volume.fill()
    volume.trim(0, 64 << 10)
    volume.trim(MIB + 512, 3 * 512)
    volume.nbd.flush()
    check_same(volume.nbd.read(0, volume.size_bytes), bytes(volume.content), "device before the backup")
    volume.back_up()
    image = group.folder / "archive" / volume.name / f"wb_{volume.name}"
    check_same(image.read_bytes(), bytes(volume.content), "base image")
    volume.snapshot()
    volume.trim(2 * MIB - 4096, 300 << 10)
    volume.trim(volume.size_bytes - 512, 512)
    volume.write(64 << 10)
    volume.snapshot()
    volume.trim(0, volume.size_bytes)
    volume.snapshot()
    volume.write(64 << 10)
    volume.trim(volume.size_bytes // 2, 512)
    volume.nbd.flush()
    volume.snapshot()
    check_same(volume.nbd.read(0, volume.size_bytes), bytes(volume.content), "device")
    volume.check_snapshots()


def test_write_zeroes_and_discards_during_a_backup_are_in_every_copy(volume: BackedUpVolume) -> None:
    group = volume.group
    volume.fill()
    group.walbc(group.storage, "set-full-scan-bps", "2m")
    try:
        backup = group.begin(group.storage, "full-bkp", volume.name, "--wait")
        group.wait_state(group.archive, volume.name, "FullSync")
        for number in range(8):
            volume.trim(number * 512 << 10, 8192)
            volume.write(32 << 10)
        assert backup.wait(30) == 0
    finally:
        group.walbc(group.storage, "set-full-scan-bps", "0")
    volume.snapshot()
    volume.check_snapshots()


def test_stop_and_start_of_each_server_loses_nothing(target: BackedUpVolume) -> None:
    group = target.group
    for server, state in ((group.storage, "Target"), (group.proxy, "Started"), (group.archive, "Archived")):
        target.write(128 << 10)
        target.snapshot()
        group.walbc(server, "stop", target.name, "--wait")
        assert group.state(server, target.name) == "Stopped"
        target.write(128 << 10)
        if server is not group.storage:
            target.snapshot()
        group.walbc(server, "start", target.name, *(["target"] if server is group.storage else []))
        group.wait_state(server, target.name, state)
        target.write(128 << 10)
        target.snapshot()
    target.check_snapshots()


def test_reset_and_a_new_backup_begin_a_new_history(target: BackedUpVolume) -> None:
    group = target.group
    target.snapshot()
    target.wait_arrival()
    for server in (group.storage, group.archive):
        group.walbc(server, "stop", target.name, "--wait")
        group.walbc(server, "reset-vol", target.name)
        assert group.state(server, target.name) == "SyncReady"
    assert target.restorable() == set()
    target.snapshots.clear()
    target.fill()
    target.back_up()
    target.write(128 << 10)
    target.snapshot()
    target.check_snapshots()


def test_a_volume_can_be_cleared_everywhere_and_made_again(group: RelayedGroup) -> None:
    for seed in (61, 62):
        volume = group.volume(seed=seed)
        folders = [group.folder / kind / volume.name for kind in ("storage", "proxy", "archive")]
        volume.fill()
        volume.back_up()
        volume.snapshot()
        volume.check_snapshots()
        assert all(folder.is_dir() for folder in folders)
        # No sub-directory besides the volume's, so that a base directory can be handed back.
        assert [path for path in folders[2].iterdir() if path.is_dir()] == []
        volume.remove()
        assert not any(folder.exists() for folder in folders)
        for server in group.servers:
            assert group.state(server, volume.name) == "Clear"
        group._count -= 1  # the same names again


def test_two_volumes_at_once_keep_apart(group: RelayedGroup) -> None:
    volumes = [group.volume(seed=71), group.volume(seed=72)]
    try:
        for volume in volumes:
            volume.fill()
        backups = [group.begin(group.storage, "full-bkp", volume.name, "--wait") for volume in volumes]
        for volume in volumes:
            volume.write(256 << 10)
        assert [backup.wait(30) for backup in backups] == [0, 0]
        for _ in range(3):
            for volume in volumes:
                volume.write(256 << 10)
                volume.snapshot()
        for volume in volumes:
            volume.check_snapshots()
    finally:
        for volume in volumes:
            volume.remove()


def test_stop_empty_waits_until_the_archive_has_everything(target: BackedUpVolume) -> None:
    group = target.group
    group.from_proxy.cut_after(0, stays=True)
    target.write(256 << 10)
    gid = target.snapshot()

    def is_at_proxy() -> bool:
        return f"|{gid}|" in group.walbc(group.proxy, "get", "proxy-diff", target.name, "a0")

    wait_until(is_at_proxy, 20, "the diff is at the proxy")
    stop = group.begin(group.proxy, "stop", target.name, "empty", "--wait")
    group.wait_state(group.proxy, target.name, "WaitForEmpty")
    assert stop.poll() is None
    group.from_proxy.heal()
    group.walbc(group.proxy, "kick", target.name)
    assert stop.wait(20) == 0
    assert group.state(group.proxy, target.name) == "Stopped"
    assert gid in target.restorable()
    group.walbc(group.proxy, "start", target.name)


def test_stop_graceful_waits_for_a_backup_and_force_ends_it(volume: BackedUpVolume) -> None:
    group = volume.group
    volume.fill()
    group.walbc(group.storage, "set-full-scan-bps", "1m")
    try:
        backup = group.begin(group.storage, "full-bkp", volume.name, "--wait")
        group.wait_state(group.archive, volume.name, "FullSync")
        graceful = group.begin(group.storage, "stop", volume.name, "--wait")
        wait_until(lambda: "stopState Stopping" in status(volume), 10, "stop waits")
        assert graceful.poll() is None and backup.poll() is None
        group.walbc(group.storage, "stop", volume.name, "force", "--wait")
        assert backup.wait(10) == 1
        assert backup.stderr and "force stopped" in backup.stderr.read()
        assert graceful.wait(10) == 0
    finally:
        group.walbc(group.storage, "set-full-scan-bps", "0")
    for server in (group.storage, group.archive):
        group.wait_state(server, volume.name, "SyncReady")
    volume.back_up()
    volume.snapshot()
    volume.check_snapshots()


def status(volume: BackedUpVolume) -> str:
    """`status VOL` of the storage."""
    return volume.group.walbc(volume.group.storage, "status", volume.name)


def test_waiting_for_a_restore_that_fails_tells_why(target: BackedUpVolume) -> None:
    group = target.group
    target.write(256 << 10)
    gid = target.snapshot()
    target.wait_arrival()
    folder = group.folder / "archive" / target.name
    damaged = max(folder.glob("*.wdiff"), key=lambda path: path.stat().st_size)
    good = damaged.read_bytes()
    damaged.write_bytes(good[: len(good) // 2] + b"\xff" * 64 + good[len(good) // 2 + 64 :])
    done = group.ask(group.archive, "restore", target.name, gid, "--wait")
    assert done.status == 1
    errors = [line for line in done.err.splitlines() if " ERROR " in line]
    assert len(errors) == 1 and damaged.name in errors[0], done.err
    assert group.walbc(group.archive, "get", "restored", target.name) == ""
    assert list(folder.glob("wr_*")) == []
    damaged.write_bytes(good)
    target.check_snapshots()


def test_num_action_counts_running_restores(target: BackedUpVolume) -> None:
    group = target.group
    assert group.walbc(group.archive, "get", "num-action", target.name, "Restore").strip() == "0"
    assert "no such action" in group.ask(group.archive, "get", "num-action", target.name, "Sing").error


@pytest.mark.parametrize("kind", ["storage", "proxy", "archive"])
def test_every_server_says_what_it_is(group: RelayedGroup, kind: str) -> None:
    server = getattr(group, kind)
    assert group.walbc(server, "get", "host-type") == f"{kind}\n"
    assert group.walbc(server, "version").startswith("version:")
    assert server.popen and group.walbc(server, "get", "pid").strip() == str(server.popen.pid)
