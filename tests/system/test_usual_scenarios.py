"""What operators do every day, on a group of all duplicated servers while writes go on (python-library.md section 14:
n1 to n14, m1 to m3)."""

from __future__ import annotations

import itertools
import os

import pytest

from demo.group import wait_until
from tests.system.operated_group import Site
from tests.system.writer import Writer

pytestmark = pytest.mark.long

KINDS = ("storage", "proxy", "archive")
# Servers that are stopped in one order and started in another.
ORDERS = [
    (stopped, started)
    for count in (1, 2, 3)
    for chosen in itertools.combinations(KINDS, count)
    for stopped in itertools.permutations(chosen)
    for started in itertools.permutations(chosen)
]
GROWTH_BYTES = 4 << 20


def test_a_standby_storage_becomes_the_target_again_by_a_hash_backup(site: Site, writer: Writer) -> None:
    before = site.snapshot(writer, site.a0)
    site.walbc.go_standby(site.s0, site.name)
    writer.wait_progress()
    site.walbc.hash_backup(site.s0, site.name)
    after = site.snapshot(writer, site.a0)
    site.check(site.group.archive, before, after)


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_servers_stop_and_start_in_any_order(site: Site, writer: Writer, order: tuple[tuple[str, ...], ...]) -> None:
    stopped, started = order
    for kind in stopped:
        assert getattr(site.group, kind).stop() == 0
        writer.wait_progress()
    for kind in started:
        site.group.restart(getattr(site.group, kind))
        writer.wait_progress()
    site.check(site.group.archive, site.snapshot(writer, site.a0))


def test_merge_and_apply_do_not_change_what_is_restored(site: Site, writer: Writer) -> None:
    walbc, a0, name = site.walbc, site.a0, site.name
    first = site.snapshot(writer, a0)
    walbc.stop(site.s0, name)
    walbc.stop(site.p0, name, "empty")
    walbc.start(site.p0, name)
    walbc.start(site.s0, name)
    middle, last = (site.snapshot(writer, a0) for _ in range(2))
    assert walbc.get_num_diff(a0, name, first, last) >= 2
    with pytest.raises(Exception, match="mergeable"):
        walbc.merge(a0, name, first, last)
    walbc.disable_snapshot(a0, name, [middle])
    walbc.merge(a0, name, first, last)
    assert middle not in walbc.get_restorable_gid(a0, name, "all")
    site.check(site.group.archive, first, last)
    walbc.apply(a0, name, last)
    assert first not in walbc.get_restorable_gid(a0, name, "all")
    site.check(site.group.archive, last)


def test_a_second_archive_is_brought_up_by_full_diff_and_hash_replication(site: Site, writer: Writer) -> None:
    walbc, group = site.walbc, site.group
    full = site.snapshot(writer, site.a0)
    walbc.replicate_once(site.a0, site.name, site.a1)
    site.check(group.archive1, full)
    diff = site.snapshot(writer, site.a0)
    walbc.replicate_once(site.a0, site.name, site.a1)
    assert {full, diff} <= set(walbc.get_restorable_gid(site.a1, site.name))
    site.check(group.archive1, diff)
    # What lies between is not at the source any more: only the images can be compared.
    gone = site.snapshot(writer, site.a0)
    walbc.apply(site.a0, site.name, site.snapshot(writer, site.a0))
    latest = site.snapshot(writer, site.a0)
    walbc.replicate_once(site.a0, site.name, site.a1)
    assert gone not in walbc.get_restorable_gid(site.a1, site.name, "all")
    site.check(group.archive1, latest)


@pytest.mark.parametrize("is_zeroed", [True, False])
def test_a_volume_grows_everywhere(site: Site, writer: Writer, is_zeroed: bool) -> None:
    walbc, volume = site.walbc, site.volume
    site.set_layout(archiveL=[site.a0])
    with writer.paused():
        for device in volume.devices:
            os.truncate(site.group.folder / f"{device}.ddev", volume.size_bytes + GROWTH_BYTES)
        walbc.resize(site.name, (volume.size_bytes + GROWTH_BYTES) >> 20, is_zeroed)
        volume.disconnect()
        volume.size_bytes += GROWTH_BYTES
        volume.content += bytes(GROWTH_BYTES)
        volume.nbd.write(volume.size_bytes - 4096, b"new area" * 512)
        volume.content[-4096:] = b"new area" * 512
    if not is_zeroed:
        walbc.go_standby(site.s0, site.name)
        walbc.hash_backup(site.s0, site.name)
    gid = site.snapshot(writer, site.a0)
    assert walbc.get_vol_size_lb(site.a0, site.name) * 512 == volume.size_bytes
    site.check(site.group.archive, gid)


def test_disabled_snapshots_are_not_explicit_until_they_are_enabled_again(site: Site, writer: Writer) -> None:
    walbc, a0, name = site.walbc, site.a0, site.name
    walbc.apply(a0, name, site.snapshot(writer, a0))
    *some, last = (site.snapshot(writer, a0) for _ in range(5))
    walbc.disable_snapshot(a0, name, some)
    explicit = set(walbc.get_restorable_gid(a0, name))
    assert last in explicit and not explicit & set(some)
    walbc.enable_snapshot(a0, name, some)
    assert {*some, last} <= set(walbc.get_restorable_gid(a0, name))
    site.check(site.group.archive, *some, last)


def test_a_replica_takes_another_history_only_when_told_to(site: Site, writer: Writer) -> None:
    walbc, group, name = site.walbc, site.group, site.name
    before = site.snapshot(writer, site.a0)
    walbc.replicate_once(site.a0, name, site.a1)
    site.check(group.archive1, before)
    walbc.stop(site.s0, name)
    walbc.clear(site.a0, name)
    walbc.full_backup(site.s0, name)
    after = site.snapshot(writer, site.a0)
    with pytest.raises(Exception, match="doResync"):
        walbc.replicate_once(site.a0, name, site.a1)
    assert before in walbc.get_restorable_gid(site.a1, name, "all")
    walbc.replicate_once(site.a0, name, site.a1, doResync=True)
    site.check(group.archive, after)
    site.check(group.archive1, after)


def test_backups_are_refused_where_they_would_harm_or_cannot_be(site: Site, writer: Writer) -> None:
    walbc, name = site.walbc, site.name
    before = site.snapshot(writer, site.a0)
    with writer.paused():
        # What proxies keep for an archive goes with it: nothing may be on its way.
        walbc.snapshot(site.s0, name, [site.a0])
        walbc.stop_synchronizing(site.a0, name)
        with pytest.raises(Exception, match="bad state"):
            walbc.full_backup(site.s0, name)
        walbc.start_synchronizing(site.a0, name)
    site.check(site.group.archive, before, site.snapshot(writer, site.a0))
    walbc.stop_synchronizing(site.a0, name)
    walbc.stop(site.a0, name)
    walbc.reset(site.a0, name)
    with pytest.raises(Exception, match="bad state"):
        walbc.hash_backup(site.s0, name)
    walbc.go_standby(site.s0, name)
    walbc.full_backup(site.s0, name)
    site.check(site.group.archive, site.snapshot(writer, site.a0))


def test_an_archive_that_was_not_grown_is_told_and_goes_on_when_it_is(site: Site, writer: Writer) -> None:
    walbc, volume, name = site.walbc, site.volume, site.name
    with writer.paused():
        for device, sx in zip(volume.devices, (site.s0, site.s1), strict=True):
            os.truncate(site.group.folder / f"{device}.ddev", volume.size_bytes + GROWTH_BYTES)
            walbc.resize_storage(sx, name, (volume.size_bytes + GROWTH_BYTES) >> 20)
        volume.disconnect()
        volume.size_bytes += GROWTH_BYTES
        volume.content += bytes(GROWTH_BYTES)
        volume.nbd.write(volume.size_bytes - 4096, b"new area" * 512)
        volume.content[-4096:] = b"new area" * 512
    gid = site.snapshot(writer)
    wait_until(lambda: walbc.is_wdiff_send_error(site.p0, name, site.a0), 20, "the proxy has given up")
    assert gid not in walbc.get_restorable_gid(site.a0, name, "all")
    walbc.resize_archive(site.a0, name, volume.size_bytes >> 20)
    walbc.kick_all([site.p0, site.p1])
    walbc.wait_for_restorable(site.a0, name, gid)
    wait_until(lambda: not walbc.is_wdiff_send_error(site.p0, name, site.a0), 20, "the error is forgotten")
    site.check(site.group.archive, gid)
