"""Two storages, two proxies, two archives: any one of them may fail or be replaced while writes go on."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator

import pytest

from demo.group import Server, wait_until
from tests.conftest import IS_LONG
from tests.system.backup_group import running_group
from tests.system.conftest import FAST
from tests.system.duplicated_group import SIZES, DuplicatedGroup, MirroredVolume
from tests.system.sampling import sampled
from tests.system.writer import Writer

ROUNDS = 6 if IS_LONG else 1
OPTIONS = {"storage": [*FAST, "-to", "3"], "proxy": [*FAST, "-to", "3"], "archive": []}


@pytest.fixture(scope="module")
def volume() -> Iterator[MirroredVolume]:
    """A mirrored volume in a group of its own that was backed up and goes to both archives."""
    with running_group(DuplicatedGroup, OPTIONS) as group:
        made = MirroredVolume(group, "vol1", "dev1", random.Random(91), **SIZES)
        made.create()
        made.fill()
        made.back_up()
        yield made
        made.disconnect()


@pytest.fixture
def synchronized(volume: MirroredVolume) -> MirroredVolume:
    """The volume when both archives have the same and get the same."""
    volume.synchronize()
    return volume


def snapshot(volume: MirroredVolume, writer: Writer) -> int:
    with writer.paused():
        volume.nbd.flush()
        return volume.snapshot()


def logs_taken(volume: MirroredVolume, proxy: Server) -> int:
    """How many transfers of log a proxy has been asked for since the last time."""
    lines = volume.group.walbc(proxy, "get", "handler-stat").splitlines()
    return sum(int(line.split("\t")[-1]) for line in lines if line.startswith("PROTOCOL_COUNT\twlog-transfer"))


def check_everywhere(volume: MirroredVolume, gid: int) -> None:
    for archive in (volume.group.archive, volume.group.archive1):
        volume.check_at(archive, gid)


@pytest.mark.parametrize("way", sampled(2, ["dies", "hangs", "is stopped"]))
def test_the_second_proxy_takes_over_and_the_preferred_one_is_used_again(
    synchronized: MirroredVolume, way: str
) -> None:
    volume, group = synchronized, synchronized.group
    with Writer(volume) as writer:
        if way == "dies":
            group.proxy.stop(signal.SIGKILL)
        elif way == "hangs":
            assert group.proxy.popen
            group.proxy.popen.send_signal(signal.SIGSTOP)
        else:
            group.walbc(group.proxy, "stop", volume.name, "--wait")
        during = snapshot(volume, writer)
        logs_taken(volume, group.proxy1)
        writer.wait_progress()
        latest = snapshot(volume, writer)
        wait_until(lambda: volume.is_at(group.archive, latest), 20, "the second proxy has taken over")
        if way == "dies":
            group.restart(group.proxy)
        elif way == "hangs":
            assert group.proxy.popen
            group.proxy.popen.send_signal(signal.SIGCONT)
        else:
            group.walbc(group.proxy, "start", volume.name)
        logs_taken(volume, group.proxy)
        wait_until(lambda: logs_taken(volume, group.proxy) > 0, 30, "the preferred proxy is used again")
        after = snapshot(volume, writer)
    for gid in (during, latest, after):
        check_everywhere(volume, gid)


def test_a_dead_archive_holds_nothing_up_and_gets_everything_later(synchronized: MirroredVolume) -> None:
    volume, group = synchronized, synchronized.group
    with Writer(volume) as writer:
        group.archive1.stop(signal.SIGKILL)
        gids = []
        for _ in range(2):
            writer.wait_progress()
            gids.append(snapshot(volume, writer))
            wait_until(lambda: volume.is_at(group.archive, gids[-1]), 20, "the living archive has it")
        group.restart(group.archive1)
    for gid in gids:
        check_everywhere(volume, gid)


def test_target_and_standby_are_switched_while_writes_go_on(volume: MirroredVolume) -> None:
    group = volume.group
    for _ in range(2 * ROUNDS):
        with Writer(volume) as writer:
            before = snapshot(volume, writer)
            wait_until(lambda: volume.is_at(group.archive, before), 20, "what was before has arrived")  # noqa: B023
            volume.switch()
            writer.wait_progress()
            after = snapshot(volume, writer)
        assert group.state(volume.active, volume.name) == "Target"
        assert group.state(volume.passive, volume.name) == "Standby"
        for gid in (before, after):
            volume.check_at(group.archive, gid)


def test_the_log_of_a_standby_is_given_free(volume: MirroredVolume) -> None:
    group = volume.group

    def used_pb() -> int:
        line = group.walbc(volume.passive, "get", "log-usage", volume.name)
        return int(dict(field.split(":") for field in line.strip().split("\t"))["usage_pb"])

    volume.write(2 << 20)
    device = f"{volume.device}-{int(volume.passive is group.storage1)}"
    before = used_pb()
    assert before > 0
    group.wdevc("force-checkpoint", group.control_socket(device))
    wait_until(lambda: used_pb() < before, 20, "log is given free")
    assert group.state(volume.passive, volume.name) == "Standby"
