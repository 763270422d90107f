"""A server, its data or a link of a group of all duplicated servers is lost while writes go on (python-library.md
section 14: e1 to e17, r1)."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator

import pytest

import walblib
from demo.group import HOST, Server, wait_until
from tests.system.operated_group import Site, base_of, params
from tests.system.relay import Relay
from tests.system.writer import Writer

pytestmark = pytest.mark.long
MIB = 1 << 20


def write_more_than_the_log(site: Site, writer: Writer, is_shipped: Callable[[], bool] = lambda: True) -> None:
    """In pieces; log that was shipped is given free in between."""
    volume, written = site.volume, 0
    while written < 2 * volume.log_bytes:
        with writer.paused():
            volume.write(8 * MIB)
        written += 4 * MIB
        for device in volume.devices:
            site.group.wdevc("force-checkpoint", site.group.control_socket(device))
        wait_until(is_shipped, 30, "log is given free")


def log_share(site: Site) -> float:
    line = site.group.walbc(site.group.storage, "get", "log-usage", site.name)
    fields = dict(field.split(":") for field in line.strip().split("\t"))
    return int(fields["usage_pb"]) / int(fields["capacity_pb"])


def lose(site: Site, server: Server) -> None:
    """The server dies, and what it had of the volume is gone."""
    server.stop(signal.SIGKILL)
    shutil.rmtree(base_of(server) / site.name)
    site.group.restart(server)


@pytest.fixture
def link(site: Site) -> Iterator[Relay]:
    """What lies between the first archive and the second."""
    relay = Relay(site.group.archive1.port)
    yield relay
    relay.heal()
    relay.close()


def behind(relay: Relay, server: walblib.ServerStartupParam) -> walblib.ServerStartupParam:
    """A server as it is known at the other side of a relay."""
    connection = walblib.ServerConnectionParam(server.name, HOST, relay.port, server.kind)
    return walblib.ServerStartupParam(connection, server.binDir, server.dataDir)


def test_more_than_the_log_is_written_while_a_proxy_is_down(site: Site, writer: Writer) -> None:
    site.group.proxy.stop(signal.SIGKILL)
    write_more_than_the_log(site, writer, lambda: log_share(site) < 0.5)
    assert not site.walbc.is_overflow(site.s0, site.name)
    gid = site.snapshot(writer, site.a0)
    site.group.restart(site.group.proxy)
    site.walbc.kick_all([site.s0, site.s1])
    site.check(site.group.archive, gid, site.snapshot(writer, site.a0))


def test_more_than_the_log_is_written_while_the_archive_is_down(site: Site, writer: Writer) -> None:
    site.group.archive.stop(signal.SIGKILL)
    write_more_than_the_log(site, writer, lambda: log_share(site) < 0.5)
    assert not site.walbc.is_overflow(site.s0, site.name)
    gid = site.snapshot(writer)
    site.group.restart(site.group.archive)
    site.walbc.kick_all([site.p0, site.p1])
    after = site.snapshot(writer, site.a0)
    site.check(site.group.archive, gid, after)


@pytest.mark.parametrize("cause", ["the storage is down", "no proxy can be reached"])
def test_an_overflow_is_made_good_by_a_hash_backup(site: Site, writer: Writer, cause: str) -> None:
    group, walbc = site.group, site.walbc
    before = site.snapshot(writer, site.a0)
    if cause == "the storage is down":
        group.storage.stop(signal.SIGKILL)
    else:
        group.to_proxy.cut_after(0, stays=True)
        group.proxy1.stop(signal.SIGKILL)
    write_more_than_the_log(site, writer)
    if cause == "the storage is down":
        group.restart(group.storage)
    group.wait_state(group.storage, site.name, "Stopped")
    assert walbc.is_overflow(site.s0, site.name)
    group.to_proxy.heal()
    if not group.proxy1.is_running():
        group.restart(group.proxy1)
    walbc.hash_backup(site.s0, site.name)
    site.check(group.archive, before, site.snapshot(writer, site.a0))


def test_a_storage_that_was_down_goes_on(site: Site, writer: Writer) -> None:
    site.group.storage.stop(signal.SIGKILL)
    writer.wait_progress()
    site.group.restart(site.group.storage)
    site.check(site.group.archive, site.snapshot(writer, site.a0))


def test_a_lost_primary_archive_without_a_copy_begins_anew(site: Site, writer: Writer) -> None:
    group, walbc, name = site.group, site.walbc, site.name
    before = site.snapshot(writer, site.a0)
    walbc.replicate_once(site.a0, name, site.a1)
    site.check(group.archive1, before)
    lose(site, group.archive)
    lost = site.snapshot(writer)
    assert lost not in walbc.get_restorable_gid(site.a1, name, "all")
    walbc.stop(site.s0, name)
    walbc.full_backup(site.s0, name)
    after = site.snapshot(writer, site.a0)
    walbc.replicate_once(site.a0, name, site.a1, doResync=True)
    site.check(group.archive, after)
    site.check(group.archive1, after)


def test_a_lost_second_archive_is_replicated_to_again(site: Site, writer: Writer) -> None:
    group, walbc, name = site.group, site.walbc, site.name
    walbc.replicate(site.a0, name, site.a1, True)
    lose(site, group.archive1)
    during = site.snapshot(writer, site.a0)
    assert walbc.get_state(site.a1, name) == "Clear"
    walbc.replicate(site.a0, name, site.a1, True)
    after = site.snapshot(writer, site.a0, site.a1)
    site.check(group.archive, during, after)
    site.check(group.archive1, after)
    walbc.stop_synchronizing(site.a1, name)


@pytest.mark.parametrize("way", ["full", "hash", "diff"])
def test_a_replication_whose_link_is_cut_ends_and_succeeds_when_repeated(
    site: Site, writer: Writer, link: Relay, way: str
) -> None:
    walbc, group, name = site.walbc, site.group, site.name
    with writer.paused():
        site.volume.fill()
    site.snapshot(writer, site.a0)
    if way != "full":
        walbc.replicate_once(site.a0, name, site.a1)
        with writer.paused():
            site.volume.fill()
        gid = site.snapshot(writer, site.a0)
        if way == "hash":
            walbc.apply(site.a0, name, gid)
    fault = link.cut_after(MIB, stays=True)
    walbc.replicate_once_nbk(site.a0, name, behind(link, site.a1))
    wait_until(lambda: walbc.get_num_action(site.a0, name, "ReplSyncAsClient") == 0, 20, "the replication has ended")
    assert fault.has_struck
    group.wait_state(group.archive1, name, "SyncReady" if way == "full" else "Archived")
    link.heal()
    wanted = site.snapshot(writer, site.a0)
    assert walbc.replicate_once(site.a0, name, site.a1) >= wanted
    site.check(group.archive1, wanted)


def test_a_storage_is_replaced_and_comes_back(site: Site, writer: Writer) -> None:
    group, walbc, name = site.group, site.walbc, site.name
    server = group.another("storage", "s2", ["-s", str(group.socket_dir)])
    group.set_peers(server, group.archive_port, site.p0.port, site.p1.port)
    group.restart(server)
    new, device = params(server), site.volume.devices[0]
    old_layout = walbc.sLayout
    for server_, sx, other, layout in (
        (server, new, site.s0, old_layout.replace(storageL=[new, site.s1])),
        (group.storage, site.s0, new, old_layout),
    ):
        before = site.snapshot(writer, site.a0)
        walbc.go_standby(other, name)
        walbc.clear(other, name)
        walbc.set_server_layout(layout)
        walbc.init_storage(sx, name, device)
        walbc.hash_backup(sx, name)
        site.volume.active = server_
        site.check(group.archive, before, site.snapshot(writer, site.a0))
    assert server.stop() == 0
