"""Ending: signals and `shutdown force` end running work and roll it back, `shutdown graceful` waits for it."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from demo.group import HOST, wait_until
from tests.system.backup_group import MIB, BackedUpVolume, RelayedGroup
from tests.system.sampling import sampled
from tests.system.writer import Writer

KINDS = ("storage", "proxy", "archive")
SIGNALS = ("SIGTERM", "SIGINT", "SIGQUIT")
END_SEC = 10.0


def begin_long_backup(volume: BackedUpVolume) -> subprocess.Popen[str]:
    """A full backup that takes some ten seconds, under way."""
    group = volume.group
    volume.fill()
    group.walbc(group.storage, "set-full-scan-bps", "2m")
    backup = group.begin(group.storage, "full-bkp", volume.name, "--wait")
    group.wait_state(group.archive, volume.name, "FullSync")
    wait_until(lambda: group.walbc(group.archive, "get", "progress", volume.name) != "0\n", 20, "the image flows")
    return backup


def check_usable_again(volume: BackedUpVolume) -> None:
    """After a rolled-back backup the next one works, and nothing is lost."""
    group = volume.group
    for server in (group.storage, group.archive):
        group.wait_state(server, volume.name, "SyncReady")
    group.walbc(group.storage, "set-full-scan-bps", "0")
    volume.write(64 << 10)
    volume.back_up()
    volume.snapshot()
    volume.check_snapshots()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_an_idle_group_with_status_0(own_group: RelayedGroup, number: str) -> None:
    volume = own_group.volume(seed=31)
    volume.back_up()
    volume.disconnect()
    for process in (*own_group.servers, own_group.devices[volume.device]):
        assert process.popen
        process.popen.send_signal(signal.Signals[number])
        assert process.popen.wait(END_SEC) == 0
    for server in own_group.servers:
        assert "shutdown" in own_group.log_of(server).splitlines()[-1]


@pytest.mark.parametrize(("kind", "number"), sampled(1, ["storage", "archive"], SIGNALS))
def test_a_signal_rolls_a_running_backup_back(own_group: RelayedGroup, kind: str, number: str) -> None:
    volume = own_group.volume(seed=32, size_bytes=16 * MIB)
    backup = begin_long_backup(volume)
    server = getattr(own_group, kind)
    assert server.popen
    server.popen.send_signal(signal.Signals[number])
    assert server.popen.wait(END_SEC) == 0
    assert backup.wait(END_SEC) == 1
    assert backup.stderr
    errors = [line for line in backup.stderr.read().splitlines() if " ERROR " in line]
    assert len(errors) == 1
    own_group.restart(server)
    check_usable_again(volume)


@pytest.mark.parametrize("kind", sampled(1, ["storage", "archive"]))
def test_shutdown_force_rolls_a_running_backup_back(own_group: RelayedGroup, kind: str) -> None:
    volume = own_group.volume(seed=33, size_bytes=16 * MIB)
    backup = begin_long_backup(volume)
    server = getattr(own_group, kind)
    own_group.walbc(server, "shutdown", "force", "--wait")
    assert server.popen and server.popen.wait(END_SEC) == 0
    assert backup.wait(END_SEC) == 1
    own_group.restart(server)
    check_usable_again(volume)


@pytest.mark.parametrize("kind", ["storage", "archive"])
def test_a_graceful_shutdown_waits_for_a_running_backup(own_group: RelayedGroup, kind: str) -> None:
    volume = own_group.volume(seed=34, size_bytes=16 * MIB)
    backup = begin_long_backup(volume)
    server = getattr(own_group, kind)
    assert server.popen
    own_group.walbc(server, "shutdown", "graceful")
    # It still answers meanwhile.
    assert own_group.walbc(server, "get", "host-type").strip() == kind
    assert own_group.state(server, volume.name) == "FullSync"
    own_group.walbc(own_group.storage, "set-full-scan-bps", "0")
    assert backup.wait(20) == 0
    assert server.popen.wait(END_SEC) == 0
    own_group.restart(server)
    volume.snapshot()
    volume.check_snapshots()


@pytest.mark.parametrize(("kind", "second"), sampled(2, ["storage", "archive"], ["graceful", "force", "SIGTERM"]))
def test_a_second_request_escalates(own_group: RelayedGroup, kind: str, second: str) -> None:
    volume = own_group.volume(seed=35, size_bytes=16 * MIB)
    backup = begin_long_backup(volume)
    server = getattr(own_group, kind)
    own_group.walbc(server, "shutdown")
    assert server.is_running() and backup.poll() is None
    if second == "SIGTERM":
        server.popen.send_signal(signal.SIGTERM)
    else:
        own_group.walbc(server, "shutdown", second)
    assert server.popen.wait(END_SEC) == 0
    assert backup.wait(END_SEC) == 1
    own_group.restart(server)
    check_usable_again(volume)


@pytest.mark.long
def test_a_signal_while_many_volumes_are_shipped_loses_nothing(own_group: RelayedGroup) -> None:
    volumes = [own_group.volume(seed=200 + number, size_bytes=MIB, log_bytes=128 * MIB) for number in range(16)]
    for volume in volumes:
        volume.back_up()
    with ExitStack() as stack:
        writers = [stack.enter_context(Writer(volume)) for volume in volumes]
        for kind in KINDS:
            for writer in writers:
                writer.wait_progress()
            server = getattr(own_group, kind)
            server.popen.send_signal(signal.SIGTERM)
            assert server.popen.wait(END_SEC) == 0
            own_group.restart(server)
            for writer in writers:
                writer.wait_progress()
        for writer, volume in zip(writers, volumes, strict=True):
            with writer.paused():
                volume.snapshot()
    for volume in volumes:
        volume.snapshot()
        volume.check_snapshots()


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_shutdown_mode_is_refused(group: RelayedGroup, kind: str) -> None:
    assert "bad option" in group.ask(getattr(group, kind), "shutdown", "now").error
    assert getattr(group, kind).is_running()


@pytest.mark.parametrize("kind", sampled(1, KINDS))
def test_clients_that_say_nothing_do_not_hold_up_a_signal(own_group: RelayedGroup, kind: str) -> None:
    server = getattr(own_group, kind)
    with socket.create_connection((HOST, server.port)):
        sleeper = own_group.begin(server, "sleep", "600")
        wait_until(lambda: "sleep" in own_group.walbc(server, "get", "handler-stat"), 10, "sleep is running")
        assert server.popen
        server.popen.send_signal(signal.SIGTERM)
        assert server.popen.wait(END_SEC) == 0
    assert sleeper.wait(END_SEC) is not None


@pytest.mark.parametrize("place", sampled(1, ["to_proxy", "from_proxy"]))
def test_a_hanging_peer_does_not_hold_up_a_signal(make_group: Callable[..., RelayedGroup], place: str) -> None:
    group = make_group()
    group.start()
    volume = group.volume(seed=36)
    volume.back_up()
    fault = getattr(group, place).hang_after(20_000)
    volume.write(512 << 10)
    volume.snapshot()
    wait_until(lambda: fault.has_struck, 20, "the connection hangs")
    for server in group.servers:
        assert server.popen
        server.popen.send_signal(signal.SIGTERM)
        assert server.popen.wait(END_SEC) == 0
    getattr(group, place).heal()
    group.start()
    volume.check_snapshots()
