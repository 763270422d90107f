"""The operator's procedures (python-library.md section 13) on running groups, while writes go on."""

from __future__ import annotations

import shutil
import signal

import pytest

import walblib
from demo.group import wait_until
from tests.system.operated_group import NUMBERS, Site, base_of, made_volume
from tests.system.writer import Writer


def test_a_second_archive_follows_from_synchronize_until_it_is_stopped(site: Site, writer: Writer) -> None:
    group, walbc = site.group, site.walbc
    before = site.snapshot(writer, site.a0)
    walbc.replicate(site.a0, site.name, site.a1, True)
    assert walbc.is_synchronizing(site.a1, site.name)
    both = [site.snapshot(writer, site.a0, site.a1) for _ in range(2)]
    walbc.stop_synchronizing(site.a1, site.name)
    site.requests(group.archive1, "wdiff-transfer")
    after = site.snapshot(writer, site.a0)
    assert site.requests(group.archive1, "wdiff-transfer") == {}
    assert after not in walbc.get_restorable_gid(site.a1, site.name)
    site.check(group.archive, before, *both, after)
    site.check(group.archive1, *both)


@pytest.mark.long
def test_a_proxy_takes_logs_of_two_storages_and_keeps_them_over_its_death(site: Site, writer: Writer) -> None:
    group = site.group
    other = Site(group, made_volume(group, next(NUMBERS)))
    with other.backed_up() as other_writer:
        site.switch()
        site.requests(group.proxy, "wlog-transfer")
        early, other_early = site.snapshot(writer, site.a0), other.snapshot(other_writer, site.a0)
        assert {"s0", "s1"} <= set(site.requests(group.proxy, "wlog-transfer"))
        group.proxy.stop(signal.SIGKILL)
        late, other_late = site.snapshot(writer), other.snapshot(other_writer)
        # What it had taken and not yet handed on comes when it is back.
        group.restart(group.proxy)
        site.check(group.archive, early, late)
        other.check(group.archive, other_early, other_late)


@pytest.mark.long
def test_what_a_proxy_still_keeps_of_the_former_target_is_not_applied(site: Site, writer: Writer) -> None:
    group, walbc = site.group, site.walbc
    site.wait_proxies_used()
    before = site.snapshot(writer, site.a0)
    delays = {px: walblib.SyncOpt(delayS=600) for px in (site.p0, site.p1)}
    for px, options in delays.items():
        walbc.add_archive_to_proxy(px, site.name, site.a0, syncOpt=options)
    site.wait_kept(group.proxy, site.snapshot(writer))
    site.volume.switch()
    for px in delays:
        walbc.add_archive_to_proxy(px, site.name, site.a0)
    after = site.snapshot(writer, site.a0)
    assert f"different-uuid:{site.name}" in group.log_of(group.proxy)
    site.check(group.archive, before, after)


@pytest.mark.long
@pytest.mark.parametrize("is_preferred", [True, False])
def test_a_proxy_is_replaced(site: Site, writer: Writer, is_preferred: bool) -> None:
    group, walbc = site.group, site.walbc
    old_server, old = (group.proxy, site.p0) if is_preferred else (group.proxy1, site.p1)
    before = site.snapshot(writer, site.a0)
    new_server, new = site.start("proxy", f"p{next(NUMBERS) + 10}")
    walbc.copy_archive_info(old, site.name, new)
    walbc.stop_nbk(old, site.name, "empty")
    walbc.wait_for_stopped(old, site.name)
    walbc.clear(old, site.name)
    proxies = [new, site.p1] if is_preferred else [site.p0, new]
    site.set_layout(proxyL=proxies)
    during = site.snapshot(writer)
    assert old_server.stop() == 0
    site.restart_storages(group.archive_port, *(px.port for px in proxies))
    after = site.snapshot(writer, site.a0)
    assert bool(site.requests(new_server, "wlog-transfer")) == is_preferred
    site.check(group.archive, before, during, after)


@pytest.mark.long
def test_the_primary_archive_is_replaced(site: Site, writer: Writer) -> None:
    group, walbc = site.group, site.walbc
    before = site.snapshot(writer, site.a0)
    new_server, new = site.start("archive", f"a{next(NUMBERS) + 10}")
    site.set_layout(archiveL=[site.a0, new])
    walbc.replicate(site.a0, site.name, new, True)
    site.restart_storages(new.port, site.p0.port, site.p1.port)
    walbc.stop_synchronizing(site.a0, site.name)
    site.set_layout(archiveL=[new])
    assert group.archive.stop() == 0
    during = site.snapshot(writer, new)
    # Backups go to the new one, too.
    site.switch()
    after = site.snapshot(writer, new)
    site.check(new_server, during, after)
    group.restart(group.archive)
    site.check(group.archive, before)


@pytest.mark.long
@pytest.mark.parametrize("follows", [True, False])
def test_a_secondary_archive_is_replaced(site: Site, writer: Writer, follows: bool) -> None:
    group, walbc = site.group, site.walbc
    walbc.replicate(site.a0, site.name, site.a1, follows)
    before = site.snapshot(writer, site.a0)
    if not follows:
        walbc.replicate_once(site.a0, site.name, site.a1)
    site.check(group.archive1, before)
    new_server, new = site.start("archive", f"a{next(NUMBERS) + 10}")
    site.set_layout(archiveL=[site.a0, site.a1, new])
    walbc.replicate(site.a1, site.name, new, walbc.is_synchronizing(site.a1, site.name))
    if follows:
        walbc.stop_synchronizing(site.a1, site.name)
    walbc.clear(site.a1, site.name)
    site.set_layout(archiveL=[site.a0, new])
    after = site.snapshot(writer, site.a0)
    if not follows:
        walbc.replicate_once(site.a0, site.name, new)
    site.check(group.archive, before, after)
    site.check(new_server, before, after)


@pytest.mark.long
def test_a_lost_primary_archive_is_stood_in_for_by_the_second_one(site: Site, writer: Writer) -> None:
    group, walbc = site.group, site.walbc
    walbc.replicate(site.a0, site.name, site.a1, True)
    before = site.snapshot(writer, site.a0, site.a1)
    group.archive.stop(signal.SIGKILL)
    during = site.snapshot(writer, site.a1)
    walbc.stop_synchronizing(site.a0, site.name)
    site.restart_storages(site.a1.port, site.p0.port, site.p1.port)
    site.set_layout(archiveL=[site.a1])
    after = site.snapshot(writer, site.a1)
    site.switch()
    last = site.snapshot(writer, site.a1)
    site.check(group.archive1, before, during, after, last)
    site.restart_storages(group.archive_port, site.p0.port, site.p1.port)


@pytest.mark.long
def test_what_a_proxy_lost_with_its_disk_is_made_good_by_a_hash_backup(site: Site, writer: Writer) -> None:
    group, walbc = site.group, site.walbc
    site.wait_proxies_used()
    before = site.snapshot(writer, site.a0)
    walbc.stop(site.a0, site.name)
    lost = site.snapshot(writer)
    site.wait_kept(group.proxy, lost)
    group.proxy.stop(signal.SIGKILL)
    shutil.rmtree(base_of(group.proxy) / site.name)
    group.restart(group.proxy)
    walbc.start(site.a0, site.name)
    walbc.start_synchronizing(site.a0, site.name)
    missing = f"too-new-diff:{site.name}:a0"
    wait_until(lambda: any(missing in group.log_of(px) for px in group.proxies), 30, "the archive misses a diff")
    assert lost not in walbc.get_restorable_gid(site.a0, site.name, "all")
    walbc.stop(site.s0, site.name)
    walbc.hash_backup(site.s0, site.name)
    after = site.snapshot(writer, site.a0)
    assert lost not in walbc.get_restorable_gid(site.a0, site.name, "all")
    site.check(group.archive, before, after)


@pytest.mark.long
def test_lost_metadata_of_a_storage_are_made_anew_and_a_hash_backup_goes_on(site: Site, writer: Writer) -> None:
    group, walbc = site.group, site.walbc
    before = site.snapshot(writer, site.a0)
    group.storage.stop(signal.SIGKILL)
    shutil.rmtree(base_of(group.storage) / site.name)
    group.restart(group.storage)
    walbc.init_storage(site.s0, site.name, site.volume.devices[0])
    walbc.hash_backup(site.s0, site.name)
    after = site.snapshot(writer, site.a0)
    site.check(group.archive, before, after)
