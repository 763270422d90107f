"""Commands in a state that forbids them: refused in one line that says what to do, and nothing changes."""

from __future__ import annotations

import pytest

from tests.system.backup_group import BackedUpVolume, RelayedGroup

# What each server refuses for a volume that does not exist, was just made, or is being shipped.
UNKNOWN = {
    "storage": ["clear-vol", "reset-vol", "full-bkp", "snapshot", "stop", "start VOL target", "start VOL standby"],
    "proxy": ["clear-vol", "start", "stop", "stop VOL empty", "kick", "archive-info get VOL a0"],
    "archive": ["clear-vol", "reset-vol", "restore VOL 0", "del-restored VOL 0", "start", "stop", "get base"],
}
NEW = {
    "storage": ["init-vol VOL nodev", "reset-vol", "snapshot", "stop", "start VOL target", "get latest-snap"],
    "proxy": ["start", "clear-vol", "archive-info add VOL a1 127.0.0.1:1", "archive-info delete VOL a0"],
    "archive": ["init-vol", "restore VOL 0", "del-restored VOL 0", "start", "stop", "get restored", "get latest-snap"],
}
SHIPPED = {
    "storage": ["init-vol VOL nodev", "clear-vol", "reset-vol", "full-bkp", "start VOL target", "start VOL standby"],
    "proxy": ["start", "clear-vol", "archive-info add VOL a0 127.0.0.1:1", "archive-info delete VOL a0"],
    "archive": ["init-vol", "clear-vol", "reset-vol", "start", "restore VOL 999", "del-restored VOL 1"],
}
STOPPED = {
    "storage": ["init-vol VOL nodev", "clear-vol", "full-bkp", "stop", "start VOL standby"],
    "proxy": ["stop"],
    "archive": ["init-vol", "stop", "restore VOL 1"],
}

# States that pass by themselves.
RECEIVING = {"WlogRecv": "Started", "WdiffRecv": "Archived"}


def words(text: str, volume: str) -> list[str]:
    """A command line: VOL stands for the volume, last if it is not named."""
    return (text if "VOL" in text else f"{text} VOL").replace("VOL", volume).split()


def check_refused(group: RelayedGroup, name: str, table: dict[str, list[str]]) -> None:
    for kind, commands in table.items():
        server = getattr(group, kind)
        before = group.state(server, name)
        before = RECEIVING.get(before, before)
        for command in commands:
            error = group.ask(server, *words(command, name)).error
            assert name in error or "already" in error, f"{kind} {command}: {error}"
            group.wait_state(server, name, before)


def test_commands_for_a_volume_that_does_not_exist_are_refused(group: RelayedGroup) -> None:
    check_refused(group, "nobody", UNKNOWN)
    for server in group.servers:
        assert group.state(server, "nobody") == "Clear"
        assert "nobody" not in group.walbc(server, "get", "vol")
        assert "Clear" in group.walbc(server, "status", "nobody")


def test_commands_a_new_volume_is_not_ready_for_are_refused(volume: BackedUpVolume) -> None:
    check_refused(volume.group, volume.name, NEW)


def test_commands_that_would_harm_a_shipped_volume_are_refused(target: BackedUpVolume) -> None:
    target.snapshot()
    target.wait_arrival()
    check_refused(target.group, target.name, SHIPPED)
    target.snapshot()
    target.check_snapshots()


def test_commands_for_a_stopped_volume_are_refused(target: BackedUpVolume) -> None:
    group = target.group
    for server in group.servers:
        group.walbc(server, "stop", target.name, "--wait")
        assert group.state(server, target.name) == "Stopped"
    check_refused(group, target.name, STOPPED)


@pytest.mark.parametrize("wait", [[], ["--wait"]])
def test_a_backup_the_archive_does_not_know_says_so(group: RelayedGroup, wait: list[str]) -> None:
    volume = group.volume(seed=51)
    try:
        group.walbc(group.archive, "clear-vol", volume.name)
        error = group.ask(group.storage, "full-bkp", volume.name, *wait).error
        assert (
            "not accepted by archive:a0:" in error
            and f"(hint: at the archive: there is no volume {volume.name}" in error
        )
        assert group.state(group.storage, volume.name) == "SyncReady"
    finally:
        volume.remove()


def test_a_backup_that_is_refused_says_what_to_do_first(group: RelayedGroup, target: BackedUpVolume) -> None:
    for command in ("full-bkp", "hash-bkp"):
        assert "a Target becomes it by stop and reset-vol" in group.ask(group.storage, command, target.name).error
    volume = group.volume(seed=52)
    try:
        assert "needs a full-bkp first" in group.ask(group.storage, "hash-bkp", volume.name).error
    finally:
        volume.remove()


def test_a_second_backup_at_the_same_time_is_refused(volume: BackedUpVolume) -> None:
    group = volume.group
    volume.fill()
    group.walbc(group.storage, "set-full-scan-bps", "1m")
    try:
        group.walbc(group.storage, "full-bkp", volume.name)
        assert "FullSync" in group.ask(group.storage, "full-bkp", volume.name, "--wait").error
        assert group.state(group.storage, volume.name) == "FullSync"
        for command in (["reset-vol", volume.name], ["clear-vol", volume.name]):
            for server in (group.storage, group.archive):
                assert "FullSync" in group.ask(server, *command).error
    finally:
        group.walbc(group.storage, "set-full-scan-bps", "0")
    group.wait_state(group.storage, volume.name, "Target")
    volume.snapshot()
    volume.check_snapshots()


def test_a_gid_is_restored_once(target: BackedUpVolume) -> None:
    group, gid = target.group, target.snapshot()
    target.wait_arrival()
    group.walbc(group.archive, "restore", target.name, gid, "--wait")
    error = group.ask(group.archive, "restore", target.name, gid, "--wait").error
    assert "already restored" in error and "del-restored" in error
    group.walbc(group.archive, "del-restored", target.name, gid)
    assert "not found" in group.ask(group.archive, "del-restored", target.name, gid).error
    assert "restore" in group.ask(group.archive, "get", "restored-path", target.name, gid).error
    assert group.walbc(group.archive, "get", "restored", target.name) == ""
    target.check_snapshots()


def test_a_device_has_one_volume(volume: BackedUpVolume) -> None:
    group = volume.group
    for spec in (volume.device, f"/dev/walb/{volume.device}"):
        assert "already used" in group.ask(group.storage, "init-vol", "other", spec).error
    assert group.state(group.storage, "other") == "Clear"


@pytest.mark.parametrize("form", ["name", "node", "socket"])
def test_a_device_is_accepted_by_name_node_and_socket(group: RelayedGroup, form: str) -> None:
    name = f"named-{form}"
    group.create_device(name, 1 << 20, 4 << 20)
    spec = {"name": name, "node": f"/dev/walb/{name}", "socket": str(group.socket_dir / f"{name}.ctl")}[form]
    group.walbc(group.storage, "init-vol", name, spec)
    assert group.walbc(group.storage, "get", "log-usage", name)
    group.walbc(group.storage, "clear-vol", name)
    group.devices.pop(name).stop()
