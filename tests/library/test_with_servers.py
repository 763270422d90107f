"""The library against real servers."""

from __future__ import annotations

import socket

import pytest

import walblib
from tests.library.conftest import MIB, Site


def test_a_volume_is_registered_backed_up_restored_and_cleared(site: Site) -> None:
    walbc = site.walbc
    walbc.init_storage(site.s0, site.vol, site.wdev.path)
    assert walbc.get_state(site.s0, site.vol) == "Standby"
    site.write(b"a" * 4096)
    first = walbc.full_backup(site.s0, site.wdev, timeoutS=100, block=True)
    assert first is not None
    assert [walbc.get_state(s, site.vol) for s in (site.s0, site.p0, site.a0)] == ["Target", "Started", "Archived"]
    assert site.restored(site.a0, first)[:4096] == b"a" * 4096
    site.write(b"b" * 4096)
    gid = walbc.snapshot(site.s0, site.vol, [site.a0])
    assert site.restored(site.a0, gid)[:4096] == b"b" * 4096
    assert walbc.get_latest_clean_snapshot(site.a0, site.vol) == gid
    walbc.go_standby(site.s0, site.vol)
    assert walbc.get_state(site.s0, site.vol) == "Standby"
    assert walbc.get_state(site.p0, site.vol) == "Clear"


def test_a_device_may_stand_for_its_volume_where_a_storage_is_asked(target: Site) -> None:
    assert target.walbc.get_state(target.s0, target.wdev) == "Target"
    gid = target.walbc.snapshot_nbk(target.s0, target.wdev)
    target.walbc.wait_for_restorable(target.a0, target.vol, gid)
    other = walblib.Device("other", "/l", "/d", "/wdevc")
    with pytest.raises(Exception, match="no volume uses walb device other"):
        target.walbc.snapshot_nbk(target.s0, other)


def test_questions_have_typed_answers(target: Site) -> None:
    walbc, a0, vol = target.walbc, target.a0, target.vol
    gid = walbc.snapshot(target.s0, vol, [a0])
    assert vol in walbc.get_vol_list(a0)
    assert walbc.get_vol_size_lb(a0, vol) == 4 * MIB // 512
    assert walbc.get_progress_lb(a0, vol) == 0
    assert not walbc.get_base(a0, vol).is_applying()
    diffs = walbc.get_diff_list(a0, vol)
    assert diffs == walbc.get_applicable_diff_list(a0, vol)
    assert walbc.get_num_diff(a0, vol) == len(diffs)
    assert walbc.get_total_diff_size(a0, vol) == sum(diff.dataSize for diff in diffs)
    assert gid in [info.gid for info in walbc.get_restorable(a0, vol, "all")]
    assert walbc.get_all_actions(a0)[vol]["Restore"][0] == 0
    assert vol in walbc.get_vol_dict_without_running_actions(a0)
    assert walbc.get_latest_snapshot_info(a0, vol)[vol] >= gid
    assert walbc.get_meta_snap(a0, vol, gid) == walblib.Snapshot(gid, gid)
    assert not walbc.get_meta_state(a0, vol, False, gid).is_applying()
    assert len(walbc.get_block_hash(a0, vol, gid)) == 32
    assert walbc.get_uuid(target.s0, vol) == walbc.get_uuid(a0, vol)
    assert len(walbc.get_archive_uuid(a0, vol)) == 32
    assert not walbc.is_overflow(target.s0, vol)
    assert not walbc.is_wdiff_send_error(target.p0, vol, a0)
    assert walbc.get_archive_info(target.p0, vol, a0)[1].getArchiveInfoArgs() == ["snappy:0:1", "0"]
    assert walbc.get_alive_server() == ["s0", "p0", "a0", "a1"]


def test_apply_merge_and_snapshot_flags(target: Site) -> None:
    walbc, a0, vol = target.walbc, target.a0, target.vol
    gids = []
    for letter in (b"c", b"d", b"e", b"f"):
        target.write(letter * 4096)
        gids.append(walbc.snapshot(target.s0, vol, [a0]))
    walbc.disable_snapshot(a0, vol, [gids[1]])
    assert gids[1] not in walbc.get_restorable_gid(a0, vol)
    walbc.enable_snapshot(a0, vol, [gids[1]])
    assert gids[1] in walbc.get_restorable_gid(a0, vol)
    with pytest.raises(Exception, match="merge: diff must mergeable"):
        walbc.merge(a0, vol, gids[0], gids[2])
    walbc.disable_snapshot(a0, vol, [gids[1]])
    walbc.merge(a0, vol, gids[0], gids[2])
    assert walbc.exists_diff(a0, vol, gids[0], gids[2])
    walbc.apply(a0, vol, gids[2])
    assert walbc.get_restorable_gid(a0, vol)[0] == gids[2]
    assert target.restored(a0, gids[2])[:4096] == b"e" * 4096
    assert walbc._apply_all(a0, vol) == walbc.get_base(a0, vol).B.gidB
    walbc.gc_diff(a0, vol)


def test_proxies_start_and_end_sending_to_an_archive(target: Site) -> None:
    walbc, vol = target.walbc, target.vol
    assert walbc.is_synchronizing(target.a0, vol)
    walbc.stop_synchronizing(target.a0, vol)
    assert not walbc.is_synchronizing(target.a0, vol)
    walbc.start_synchronizing(target.a0, vol, walblib.SyncOpt(walblib.CompressOpt(walblib.CMPR_GZIP, 1, 1), 3))
    _, options = walbc.get_archive_info(target.p0, vol, target.a0)
    assert options.getArchiveInfoArgs() == ["gzip:1:1", "3"]
    walbc.stop(target.p0, vol)
    walbc.update_archive_info(target.p0, vol, target.a0, walblib.SyncOpt(delayS=0))
    walbc.start(target.p0, vol)
    walbc.snapshot(target.s0, vol, [target.a0])


def test_stop_start_reset_and_a_new_full_backup(target: Site) -> None:
    walbc, vol = target.walbc, target.vol
    walbc.stop(target.s0, vol)
    walbc.start(target.s0, vol)
    walbc.stop(target.s0, vol)
    walbc.stop(target.a0, vol)
    walbc.reset(target.a0, vol)
    assert walbc.full_backup(target.s0, vol) is not None
    with pytest.raises(Exception, match="call stop if target"):
        walbc.full_backup(target.s0, vol)


def test_programs_run_at_the_server_s_host(target: Site) -> None:
    run = target.walbc.get_run_remote_command(target.s0)
    assert run(["/bin/echo", "a", "b c"]) == "a b c"
    with pytest.raises(walblib.CommandError) as caught:
        run(["/bin/sh", "-c", "exit 3"])
    assert "non-zero:768" in caught.value.stderr
    with pytest.raises(walblib.CommandError) as caught:
        target.walbc.run_remote_command(target.p0, ["/bin/true"])
    assert caught.value.stderr == "exec command is not allowed (hint: start the server with -allow-exec)"


def test_status_and_states_are_printed(target: Site, capsys: pytest.CaptureFixture[str]) -> None:
    target.walbc.status(target.a0, target.vol)
    out = capsys.readouterr().out
    assert out.startswith("++++++++++++++++++++ a0 ++++++++++++++++++++\nhostType archive\n")
    target.walbc.get_state_all(target.vol)
    states = [line.split()[::3] for line in capsys.readouterr().out.splitlines()]
    assert states == [["s0", "Target"], ["p0", "Started"], ["a0", "Archived"], ["a1", "Clear"]]


def test_a_server_that_is_down_is_one_error(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    gone = walblib.ServerConnectionParam("s9", "127.0.0.1", port, walblib.K_STORAGE)
    with pytest.raises(walblib.CommandError) as caught:
        site.walbc.get_state(gone, site.vol)
    assert "Connection refused" in caught.value.stderr


def test_wrong_server_kinds_and_unknown_volumes_are_refused(site: Site) -> None:
    with pytest.raises(Exception, match="invalid server type"):
        site.walbc.snapshot_nbk(site.a0, site.vol)
    with pytest.raises(walblib.CommandError) as caught:
        site.walbc.snapshot_nbk(site.s0, "no-such-volume")
    assert "no-such-volume" in caught.value.stderr
