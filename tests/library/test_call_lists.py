"""The commands each operation sends, in order, as the library of 1.0.19 sent them (python-library.md section 16)."""

from __future__ import annotations

import pytest

import walblib
from tests.library.scripted_group import NEVER_GID, Clock, ScriptedGroup, attach, expand, new_servers
from walbd.model.error import Refused

S0_S1 = {"s0": "Standby", "s1": "Standby"}
RUNNING = {"s0": "Target", "s1": "Standby", "p0": "Started", "a0": "Archived"}
ADD_A0 = "archive-info add a0 h:10004"
START_P0 = "start, st x2; s0: kick; s1: kick"


class Rig:
    """A controller of ([s0, s1], [p0], [a0, a1]) over scripted servers."""

    def __init__(self) -> None:
        self.group = ScriptedGroup()
        self.servers = new_servers()
        s0, s1, p0, self.p1, a0, a1 = self.servers.values()
        layout = walblib.ServerLayout([s0, s1], [p0], [a0, a1])
        self.controller = walblib.Controller("/bin/walbc", layout)
        self.clock: Clock = attach(self.controller, self.group)

    def __getattr__(self, name: str) -> walblib.ServerStartupParam:
        return self.servers[name]

    def become(self, states: dict[str, str], archives: list[str] | None = None) -> None:
        self.group.states = dict(states)
        self.group.archives = {"p0": list(archives or [])}

    def assert_calls(self, text: str) -> None:
        assert self.group.take() == expand(text)


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_init_storage(rig: Rig) -> None:
    rig.controller.init_storage(rig.s0, "vol0", "/dev/walb/0")
    rig.assert_calls("s0: init-vol /dev/walb/0, st, start standby, st x2")


def test_full_backup_of_a_standby_storage(rig: Rig) -> None:
    rig.become(S0_S1)
    assert rig.controller.full_backup(rig.s0, "vol0") == 7
    rig.assert_calls(
        "s0: st x2, stop graceful, st x2; s1: st; p0: list x2; a0: st, init-vol; "
        f"p0: st, list, {ADD_A0}, st, {START_P0}; "
        "s0: full-bkp, st x2; a0: st; p0: kick a0; a0: get restorable"
    )


def test_snapshot(rig: Rig) -> None:
    rig.become(RUNNING, ["a0"])
    assert rig.controller.snapshot(rig.s0, "vol0", [rig.a0]) == 8
    rig.assert_calls("a0: st; s0: snapshot, st; a0: get restorable")


def test_go_standby_of_a_target(rig: Rig) -> None:
    rig.become(RUNNING, ["a0"])
    rig.controller.go_standby(rig.s0, "vol0")
    rig.assert_calls(
        "s0: st x2, stop force, st x2; p0: st x2, stop force, st x2, list, archive-info delete a0, st; "
        "s0: kick; s1: kick; s0: reset-vol -to 100, st x2, start standby, st x2"
    )


def test_hash_backup_with_options(rig: Rig) -> None:
    rig.become({**S0_S1, "a0": "Archived"})
    options = walblib.SyncOpt(walblib.CompressOpt(walblib.CMPR_GZIP, 3, 2), 5)
    assert rig.controller.hash_backup(rig.s1, "vol0", bulkSizeU="64K", syncOpt=options) == 8
    rig.assert_calls(
        "s1: st x2, stop graceful, st x2; s0: st; p0: list x2; a0: st; "
        f"p0: st, list, {ADD_A0} gzip:3:2 5, st, {START_P0}; a0: get restorable; "
        "s1: hash-bkp 64K, st x2; a0: st; p0: kick a0; a0: get restorable"
    )


@pytest.mark.parametrize("has_image", [False, True])
def test_replicate_once_to_a_clear_archive_asks_the_source_first(rig: Rig, has_image: bool) -> None:
    rig.become({"a0": "Archived"})
    if has_image:
        rig.group.bases.add("a1")
    assert rig.controller.replicate_once(rig.a0, "vol0", rig.a1) == 7
    sizes = "; a0: get vol-size; a1: get vol-size" if has_image else ""
    rig.assert_calls(
        f"a0: get restorable; a1: st, init-vol, get exists-base-image{sizes}; "
        "a0: replicate gid 7 h:10005 0 0, get num-action ReplSyncAsClient; "
        f"a1: st, get applicable-diff {NEVER_GID}"
    )


def test_synchronize(rig: Rig) -> None:
    rig.become({**RUNNING, "a1": "Archived"}, ["a0"])
    rig.group.bases.add("a1")
    rig.controller.synchronize(rig.a0, "vol0", rig.a1)
    rig.assert_calls(
        "p0: st, stop empty, st x2, list, archive-info add a1 h:10005; a0: get restorable; a1: st; "
        "a0: get archive-uuid; a1: get archive-uuid, get exists-base-image; a0: get vol-size; a1: get vol-size; "
        "a0: replicate gid 7 h:10005 0 0, get num-action ReplSyncAsClient; "
        f"a1: st, get applicable-diff {NEVER_GID}; p0: {START_P0}"
    )


def test_stop_synchronizing(rig: Rig) -> None:
    rig.become(RUNNING, ["a0", "a1"])
    rig.controller.stop_synchronizing(rig.a1, "vol0")
    rig.assert_calls(f"p0: st x2, stop force, st x2, list, archive-info delete a1, st, {START_P0}")


def test_restore_and_del_restored(rig: Rig) -> None:
    rig.become(RUNNING)
    rig.controller.restore(rig.a0, "vol0", 7)
    rig.assert_calls("a0: get restored, restore 7, get num-action Restore, get restored")
    rig.controller.del_restored(rig.a0, "vol0", 7)
    rig.assert_calls("a0: del-restored 7, get restored")


def test_apply_and_merge(rig: Rig) -> None:
    rig.become(RUNNING)
    rig.controller.merge(rig.a0, "vol0", 5, 7)
    rig.assert_calls("a0: get applicable-diff 7, merge 5 gid 7, get num-action Merge, get exists-diff 5 5 7 7")
    rig.controller.apply(rig.a0, "vol0", 7)
    rig.assert_calls(f"a0: get applicable-diff {NEVER_GID}, apply 7, get num-action Apply, get base, get restorable")


def test_resize(rig: Rig) -> None:
    rig.become({**RUNNING, "a1": "Archived"})
    rig.controller.resize("vol0", 16, True)
    archive = "st, get vol-size, resize 16m zeroclear, get num-action Resize, get vol-size"
    rig.assert_calls(f"a0: {archive}; a1: {archive}; s0: st, resize 16m; s1: st, resize 16m")


def test_copy_archive_info(rig: Rig) -> None:
    rig.become({"p0": "Started"}, ["a0"])
    rig.controller.copy_archive_info(rig.p0, "vol0", rig.p1)
    rig.assert_calls(f"p0: list, archive-info get a0; p1: st, list, {ADD_A0} gzip:3:2 5, st, start, st x2")


def test_clear_at_each_kind_of_server(rig: Rig) -> None:
    rig.become({**RUNNING, "s1": "Target"}, ["a0"])
    rig.controller.clear(rig.s1, "vol0")
    rig.assert_calls("s1: st x2, stop force, st x3, reset-vol -to 100, st x2, clear-vol")
    for server in (rig.p0, rig.a0):
        rig.controller.clear(server, "vol0")
        rig.assert_calls(f"{server.name}: st x2, stop force, st x3, clear-vol")
        rig.controller.clear(server, "vol0")
        rig.assert_calls(f"{server.name}: st")


# ---- waits and failures ----


def test_a_stop_the_server_has_given_up_ends_the_wait(rig: Rig) -> None:
    rig.become(RUNNING)
    rig.group.answers["a0: get state vol0"] = "Archived"
    with pytest.raises(Exception, match="the server gave up"):
        rig.controller.stop(rig.a0, "vol0")
    assert 60 < rig.clock.now_sec < 80


def test_a_stopped_backup_is_waited_for(rig: Rig) -> None:
    states = iter(["FullSync", "FullSync", "FullSync", "SyncReady", "SyncReady"])
    rig.group.answers["s0: get state vol0"] = lambda: next(states)
    rig.controller.stop(rig.s0, "vol0")


def test_a_wrong_end_of_a_wait_tells_states_and_server(rig: Rig) -> None:
    rig.become({"s0": "Stopped"})
    rig.group.answers["s0: get state vol0"] = "Stopped"
    with pytest.raises(Exception) as caught:
        rig.controller.start(rig.s0, "vol0")
    assert caught.value.args == (
        "wait_for_state_change:bad goal", "s0", "vol0", ["StartTarget"], ["Target"], "Stopped",
    )  # fmt: skip


def test_a_gid_is_looked_for_once_even_without_time(rig: Rig) -> None:
    rig.become(RUNNING)
    rig.controller.wait_for_restorable(rig.a0, "vol0", 7, 0)
    with pytest.raises(Exception) as caught:
        rig.controller.wait_for_restorable(rig.a0, "vol0", 8, 0)
    assert caught.value.args == ("wait_for_gid: timeout", "a0", "vol0", 8, "restorable", [0, 7])
    rig.controller.verify_not_restorable(rig.a0, "vol0", 8, 1, "test")
    with pytest.raises(Exception, match="gid must not be restorable"):
        rig.controller.verify_not_restorable(rig.a0, "vol0", 7, 1, "test")


def test_a_refused_command_carries_what_was_asked_and_why(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(walblib.CommandError) as caught:
        rig.controller.snapshot_nbk(rig.s0, "vol0")
    argv = ["/bin/walbc", "-id", "ctl", "-a", "h", "-p", "10000", "snapshot", "vol0"]
    assert caught.value.args == (f"command error {argv} 1\n",)
    assert (caught.value.argv, caught.value.status) == (argv, 1)
    assert caught.value.stderr == "bad state:Clear (hint: init it first)"
    assert capsys.readouterr().err.endswith("ERROR walbc error: bad state:Clear (hint: init it first)\n")


def test_messages_are_printed_on_request(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    assert rig.controller.run_ctl(rig.s0, ["get", "host-type"], putMsg=True) == "storage"
    assert capsys.readouterr().out == (
        "run_command: /bin/walbc -id ctl -a h -p 10000 get host-type\nrun_command_result: storage\n"
    )


def test_the_source_must_know_a_volume_before_the_destination_is_touched(rig: Rig) -> None:
    rig.group.answers["a0: get restorable vol0"] = ""
    with pytest.raises(Exception, match="get_latest_clean_snapshot:not found"):
        rig.controller.replicate_once(rig.a0, "vol0", rig.a1)
    rig.assert_calls("a0: get restorable")


def test_replication_of_a_volume_without_diffs_succeeds(rig: Rig) -> None:
    rig.become({"a0": "Archived"})
    rig.group.answers[f"a1: get applicable-diff vol0 {NEVER_GID}"] = ""
    assert rig.controller.replicate_once(rig.a0, "vol0", rig.a1) == 7


def test_different_histories_are_told_before_replication(rig: Rig) -> None:
    rig.become({"a0": "Archived", "a1": "Archived"})
    rig.group.answers["a1: get archive-uuid vol0"] = "11" * 16
    with pytest.raises(Exception, match="Archive uuids differ"):
        rig.controller.replicate_once(rig.a0, "vol0", rig.a1)


def test_a_larger_source_grows_the_copy_and_a_smaller_one_is_refused(rig: Rig) -> None:
    rig.become({"a0": "Archived", "a1": "Archived"})
    rig.group.bases.add("a1")
    rig.group.size_mb = {"a0": 16}
    rig.controller.replicate_once(rig.a0, "vol0", rig.a1)
    assert "a1: resize 16m" in rig.group.take()
    rig.group.size_mb["a1"] = 20
    with pytest.raises(Exception, match="Volume size of aDst is larger"):
        rig.controller.replicate_once(rig.a0, "vol0", rig.a1)


def test_merge_refuses_what_it_would_have_to_break(rig: Rig) -> None:
    for begin, end, diffs, message in [
        (5, 8, ["|5|-->|6| -- 2026-01-01T00:00:00 9"], "specify exact ranges"),
        (5, 6, ["|5|-->|6| -C 2026-01-01T00:00:00 9"], "first diff must not be comp diff"),
        (5, 7, ["|5|-->|6| -- 2026-01-01T00:00:00 9", "|6|-->|7| -- 2026-01-01T00:00:00 9"], "diff must mergeable"),
    ]:
        rig.group.diffs = diffs
        with pytest.raises(Exception, match=message):
            rig.controller.merge(rig.a0, "vol0", begin, end)


def test_shutdown_all_passes_the_mode_on(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    rig.group.answers["s1: shutdown force"] = Refused("no")
    rig.controller.shutdown_all("force")
    assert [call for call in rig.group.take()] == [f"{name}: shutdown force" for name in ("s0", "s1", "p0", "a0", "a1")]
    out = capsys.readouterr().out
    assert "shutdown succeeded s0\nshutdown failed s1 command error" in out


def test_deletion_is_tried_three_times(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    rig.become(RUNNING)
    rig.group.restored = [7]
    rig.group.answers["a0: del-restored vol0 7"] = Refused("no")
    with pytest.raises(Exception, match="exceeds max retry times"):
        rig.controller.del_restored(rig.a0, "vol0", 7)
    assert capsys.readouterr().out.count("del-restored retry") == 3


def test_an_archive_without_proxies_is_not_synchronizing(rig: Rig) -> None:
    rig.controller.set_server_layout(walblib.ServerLayout([rig.s0], [], [rig.a0]))
    assert not rig.controller.is_synchronizing(rig.a0, "vol0")
    rig.controller.set_server_layout(walblib.ServerLayout([rig.s0], [rig.p0, rig.p1], [rig.a0]))
    rig.group.archives = {"p0": ["a0"]}
    with pytest.raises(Exception, match="some proxies are synchronizing"):
        rig.controller.is_synchronizing(rig.a0, "vol0")


# ---- a device in place of a volume's name ----


def test_a_device_means_the_volume_of_that_storage_that_uses_it(rig: Rig) -> None:
    device = walblib.Device(0, "/dev/l", "/dev/d", "/bin/wdevc")
    rig.become(S0_S1)
    assert rig.controller.full_backup(rig.s0, device, timeoutS=100, block=True) == 7
    assert "s0: full-bkp" in rig.group.take()


def test_a_device_no_volume_uses_is_refused_by_the_argument_wanted(rig: Rig) -> None:
    with pytest.raises(Exception, match="vol must be the name of a volume: at s0 no volume uses walb device 1"):
        rig.controller.get_state(rig.s0, walblib.Device("1", "/dev/l", "/dev/d", "/bin/wdevc"))


def test_a_device_two_volumes_use_is_refused_with_their_names(rig: Rig) -> None:
    rig.group.answers["s0: get vol"] = "vol0\nvol1"
    with pytest.raises(Exception, match="volumes vol0 vol1 use walb device 0"):
        rig.controller.get_state(rig.s0, walblib.Device(0, "/dev/l", "/dev/d", "/bin/wdevc"))


def test_a_device_says_nothing_to_an_archive(rig: Rig) -> None:
    with pytest.raises(TypeError, match="vol must be the name of a volume: a0 has no walb devices"):
        rig.controller.get_state(rig.a0, walblib.Device(0, "/dev/l", "/dev/d", "/bin/wdevc"))
