"""Where the APIs of 2014 (walb) and of 1.0.19 (walblib) differ: a test per row of python-library.md section 1.2."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

import walb
import walb.walb
import walblib
from tests.library.scripted_group import NEVER_GID, Clock, ScriptedGroup, attach, expand, new_servers, old_servers
from walbd.model.error import Refused

RUNNING = {"s0": "Target", "s1": "Standby", "p0": "Started", "a0": "Archived"}


class Era:
    """One API over scripted servers."""

    def __init__(self, api: Any, servers: Any) -> None:
        self.api = api
        self.servers = servers
        self.layout = api.ServerLayout([servers["s0"], servers["s1"]], [servers["p0"]], [servers["a0"], servers["a1"]])
        self.controller: Any = api.Controller("/bin/walbc", self.layout)
        self.group = ScriptedGroup(states=dict(RUNNING), archives={"p0": ["a0"]})
        self.clock: Clock = attach(self.controller, self.group)

    def __getattr__(self, name: str) -> Any:
        return self.servers[name]


@pytest.fixture
def old() -> Era:
    return Era(walb, old_servers())


@pytest.fixture
def new() -> Era:
    return Era(walblib, new_servers())


def test_restorable_gids_are_numbers_then_and_records_now(old: Era, new: Era) -> None:
    assert old.controller.get_restorable(old.a0, "vol0") == [0, 7]
    assert list(map(str, new.controller.get_restorable(new.a0, "vol0"))) == [
        "0 2026-01-01T00:00:00 0",
        "7 2026-01-01T00:00:01 1",
    ]
    for era in (old, new):
        assert era.controller.get_restorable_gid(era.a0, "vol0") == [0, 7]
        with pytest.raises(Exception, match="get_restorable:bad opt"):
            era.controller.get_restorable(era.a0, "vol0", "x")


def test_storage_states_have_the_names_of_their_time(old: Era, new: Era) -> None:
    names = {
        "Target": "Master",
        "Standby": "Slave",
        "StartTarget": "StartMaster",
        "StopTarget": "StopMaster",
        "StartStandby": "StartSlave",
        "StopStandby": "StopSlave",
        "SyncReady": "SyncReady",
    }
    for now, then in names.items():
        for era, shown in ((old, then), (new, now)):
            era.group.states["s0"] = now
            assert era.controller.get_state(era.s0, "vol0") == shown
            era.controller.verify_state(era.s0, "vol0", shown)
            era.controller._wait_for_state(era.s0, "vol0", [shown])
    old.controller.verify_state(old.s0, "vol0", "SyncReady")
    assert (walb.sMaster, walb.sSlave, walb.stStartMaster, walb.stStopSlave) == (
        "Master",
        "Slave",
        "StartMaster",
        "StopSlave",
    )
    assert walb.sDuringFullSync == ["FullSync", "Stopped", "StartMaster"]
    assert walblib.sDuringFullSync == ["FullSync", "Stopped", "StartTarget"]


def test_start_of_a_storage_went_by_its_state_and_means_target_now(old: Era, new: Era) -> None:
    for state, command in (("SyncReady", "start standby"), ("Stopped", "start target")):
        old.group.states["s0"] = state
        old.controller.start(old.s0, "vol0")
        assert f"s0: {command}" in old.group.take()
    new.group.states["s0"] = "Stopped"
    new.controller.start(new.s0, "vol0")
    assert new.group.take() == expand("s0: start target, st x2")


def test_a_full_backup_of_a_master_stopped_it_and_is_refused_now(old: Era, new: Era) -> None:
    assert old.controller.full_backup(old.s0, "vol0") == 7
    calls = old.group.take()
    assert calls[: calls.index("s1: st")] == expand("s0: st x2, stop graceful, st x2, reset-vol -to 100, st")
    old.group.states["s0"] = "Target"
    assert old.controller.hash_backup(old.s0, "vol0") == 8
    for backup in (new.controller.full_backup, new.controller.hash_backup):
        with pytest.raises(Exception, match="call stop if target"):
            backup(new.s0, "vol0")


def test_wait_for_replicated_takes_the_destination_alone_or_both(old: Era, new: Era) -> None:
    old.controller.wait_for_replicated(old.a1, "vol0", 7, 100)
    assert old.group.take() == ["a1: get restorable all"]
    with pytest.raises(Exception, match="wait_for_replicated:replicate failed"):
        old.controller.wait_for_replicated(old.a1, "vol0", 8, 3)
    old.group.take()
    for era in (old, new):
        era.controller.wait_for_replicated(era.a0, "vol0", era.a1, 7, 100)
        assert era.group.take() == expand(
            f"a0: get num-action ReplSyncAsClient; a1: st, get applicable-diff {NEVER_GID}"
        )


def test_replication_prepares_the_destination_in_both(old: Era, new: Era) -> None:
    for era in (old, new):
        assert era.controller.replicate_once(era.a0, "vol0", era.a1) == 7
        assert "a1: init-vol" in era.group.take()


def test_stops_inside_other_operations_are_forced_in_both(old: Era, new: Era) -> None:
    for era in (old, new):
        era.controller.stop_synchronizing(era.a0, "vol0")
        assert "p0: stop force" in era.group.take()
        era.controller.clear(era.s0, "vol0")
        assert "s0: stop force" in era.group.take()


def test_shutdown_paused_a_second_and_its_list_stopped_at_a_failure(
    old: Era, new: Era, capsys: pytest.CaptureFixture[str]
) -> None:
    for era, pause_sec in ((old, 1.0), (new, 0.0)):
        era.controller.shutdown(era.s0)
        assert era.clock.now_sec == pause_sec
        era.group.answers["s0: shutdown graceful"] = Refused("no")
    with pytest.raises(walb.CommandError):
        old.controller.shutdown_list([old.s0, old.p0])
    new.controller.shutdown_list([new.s0, new.p0])
    assert capsys.readouterr().out.endswith("shutdown succeeded p0\n")


def test_waits_lasted_a_hundred_seconds_and_last_a_day(old: Era, new: Era) -> None:
    assert (walb.TIMEOUT_SEC, walblib.TIMEOUT_SEC, walblib.SHORT_TIMEOUT_SEC) == (100, 86400, 100)
    for era, limit_sec in ((old, 100), (new, 86400)):
        era.group.answers["a0: get num-action vol0 Restore"] = "1"
        with pytest.raises(Exception, match="wait_for_no_action"):
            era.controller.restore(era.a0, "vol0", 7)
        assert limit_sec <= era.clock.now_sec < limit_sec + 1


def test_diff_lists_were_lines_and_are_records(old: Era, new: Era) -> None:
    line = "|5|-->|6| -- 2026-01-01T00:00:00 9"
    assert old.controller.get_diff_list(old.a0, "vol0")[0] == line
    diff = new.controller.get_diff_list(new.a0, "vol0")[0]
    assert isinstance(diff, walblib.Diff)
    assert str(diff) == line


def test_a_layout_without_servers_was_refused_and_is_checked_when_needed(old: Era, new: Era) -> None:
    for lists, kind in (([], [1], [1]), "storage"), (([1], [], [1]), "proxy"), (([1], [1], []), "archive"):
        names = [["s0"], ["p0"], ["a0"]]
        chosen = [[old.servers[n] for n in name] if given else [] for given, name in zip(lists, names, strict=True)]
        with pytest.raises(Exception, match=f"server_layout: no {kind} server"):
            walb.ServerLayout(*chosen)
    layout = walblib.ServerLayout([], [], [])
    with pytest.raises(Exception) as caught:
        layout.get_primary_archive()
    assert caught.value.args == ("ServerLayout: more servers required", "archive", 0, 1)


def test_resizing_a_clear_archive_did_nothing_and_is_refused(old: Era, new: Era) -> None:
    old.controller.resize_archive(old.a1, "vol0", 16, False)
    assert old.group.take() == ["a1: st"]
    with pytest.raises(Exception, match="resize_archive:bad state"):
        new.controller.resize_archive(new.a1, "vol0", 16, False)


def test_the_path_of_a_restored_volume_has_the_present_prefix_in_both(old: Era, new: Era) -> None:
    for era in (old, new):
        assert era.controller.get_restored_path(era.a0, "vol0", 7) == "/dev/vg0/wr_vol0_7"


def test_wrong_types_are_type_errors_in_both(old: Era, new: Era) -> None:
    for era in (old, new):
        for call in (
            lambda era=era: era.controller.get_state("s0", "vol0"),
            lambda era=era: era.controller.get_state(era.s0, 5),
            lambda era=era: era.controller.restore(era.a0, "vol0", "7"),
        ):
            with pytest.raises(TypeError):
                call()
        with pytest.raises(Exception, match="invalid server type"):
            era.controller.is_overflow(era.a0, "vol0")


def test_exec_is_sent_without_the_old_separator(old: Era, new: Era) -> None:
    for era in (old, new):
        era.controller.get_run_remote_command(era.s0)(["/bin/ls", "-l"])
        assert era.group.take() == ["s0: exec /bin/ls -l"]


# ---- names ----


def test_names_of_2014_are_there(old: Era) -> None:
    for name in ("reset_vol", "clear_vol", "set_slave_storage", "kick_all_storage", "apply_diff", "merge_diff"):
        assert callable(getattr(old.controller, name))
    assert old.controller.get_server("a1") is old.a1
    assert set(walblib.__all__) <= set(walb.__all__)
    assert walb.walb.__all__ == walb.__all__


@pytest.mark.parametrize("package", ["walb", "walb.walb", "walblib"])
def test_a_star_import_brings_what_scripts_use_unimported(package: str) -> None:
    used = "os, time, subprocess, sys, socket, errno, re, datetime, types, closing, defaultdict"
    script = f"from {package} import *\n{used}, execfile, Controller, Device, K_STORAGE, run_local_command, to_str"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_no_name_of_the_star_import_is_missing_or_private() -> None:
    for api in (walb, walblib):
        for name in api.__all__:
            assert hasattr(api, name), name
            assert not name.startswith("_")


def test_start_arguments_stand_in_the_order_of_2014(old: Era, new: Era) -> None:
    def line(words: list[str]) -> str:
        return " ".join(words)

    storage = "/bin/walb-storage -archive h:10004 -proxy h:10002 -p 10000 -b /var/s0 -l /var/s0/s0.log -id s0"
    assert line(walb.get_server_args(old.s0, old.layout)) == storage
    archive = "/bin/walb-archive -vg vg0 -p 20004 -b /var/a0 -l /var/a0/a0.log -id a0 -debug"
    assert line(walb.get_server_args(old.a0, old.layout, True, True)) == archive
    proxy = "/bin/walb-proxy -p 10002 -b /var/p0 -l /var/p0/p0.log -id p0 -fg 2 -bg 1"
    assert line(walblib.get_server_args(new.p0, new.layout)) == proxy
    assert walblib.get_server_params(new.a0, maxConn=9, timeoutS=3)["maxconn"] == "9"
    assert len(new.layout.to_cmd_string().splitlines()) == 5
    with pytest.raises(Exception, match="a storage needs the layout"):
        walblib.get_server_args(new.s0)
