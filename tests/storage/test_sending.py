"""Log goes to a proxy, and only what is safe is given free (servers.md sections 3.6, 3.7; failure matrix L1 to L8)."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from tests.group_testing import FakeProxy, FaultyFiles, Gate, QuickWorld, until
from tests.storage.fake_device import FakeDevice
from tests.storage.storage_testing import Group, blocks, volume_of
from walbd.model.error import BadState, PeerUnreachable, Refused
from walbd.net.connection import Connection
from walbd.net.frame import FrameType
from walbd.world.network import Network, Stream


async def test_everything_written_reaches_the_proxy_in_order(group: Group) -> None:
    async with group.target() as storage:
        for number in range(1, 6):
            group.device.write(number, blocks(number))
            await group.wait_sent(storage)
    log = b"".join(received.data for received in group.proxy.received)
    assert [log.find(blocks(number)) > 0 for number in range(1, 6)] == [True] * 5
    ends = [received.end_lsid for received in group.proxy.received]
    begins = [received.request.begin_lsid for received in group.proxy.received]
    assert begins == [0, *ends[:-1]]
    diffs = [received.diff for received in group.proxy.received]
    assert all(after.begin == before.end for before, after in pairwise(diffs))


async def test_log_is_given_free_only_when_sent_and_written_back(group: Group) -> None:
    async with group.target() as storage:
        group.device.write(0, blocks(1))
        await group.wait_sent(storage)
        assert group.device.oldest == 0
        group.device.checkpoint()
        await until(lambda: group.device.oldest == group.device.latest)


async def test_log_the_proxy_has_not_acknowledged_is_kept(group: Group) -> None:
    gate = Gate()
    async with group.target() as storage:
        group.proxy.before_ack = gate
        group.device.write(0, blocks(1))
        group.device.checkpoint()
        await gate.reached.wait()
        assert group.device.oldest == 0
        assert volume_of(storage).records.done.lsid == 0
        gate.opened.set()
        await group.wait_sent(storage)
        await until(lambda: group.device.oldest == group.device.latest)


async def test_done_that_cannot_be_saved_keeps_the_log_and_sends_it_again(group: Group) -> None:
    files = FaultyFiles()
    async with group.target(QuickWorld(files)) as storage:
        sent = len(group.proxy.received)
        files.fails = lambda operation, path: operation == "save" and path.name == "done"
        group.device.write(0, blocks(1))
        group.device.checkpoint()
        await until(lambda: len(group.proxy.received) > sent + 1)
        assert group.device.oldest == 0
        files.fails = lambda *_: False
        await group.wait_sent(storage)
        assert {received.data for received in group.proxy.received[sent:-1]} == {group.proxy.received[sent].data}


async def test_log_that_was_acknowledged_before_a_crash_is_sent_again_from_the_same_gid(group: Group) -> None:
    files = FaultyFiles()
    async with group.target(QuickWorld(files)):
        sent = len(group.proxy.received)
        files.fails = lambda operation, path: path.name == "done"
        group.device.write(0, blocks(1))
        await until(lambda: len(group.proxy.received) > sent)
    first = group.proxy.received[sent]
    again = len(group.proxy.received)
    async with group.storage() as storage:
        await group.wait_sent(storage)
    assert group.proxy.received[again].request.begin_lsid == first.request.begin_lsid
    assert group.proxy.received[again].diff.begin == first.diff.begin


async def test_a_refusing_proxy_is_passed_over_for_the_next(group: Group) -> None:
    second = FakeProxy("p1")
    await second.start()
    async with group.target(proxies=(group.proxy.address, second.address)) as storage:
        group.proxy.refusal = BadState("Not enough available disk space:1:2")
        group.device.write(0, blocks(1))
        await group.wait_sent(storage)
        assert blocks(1) in second.received[-1].data
        assert storage.has_logged("Not enough available disk space")
    await second.stop()


async def test_log_flows_soon_after_the_only_proxy_is_back(group: Group) -> None:
    async with group.target(min_delay_sec=100_000, max_delay_sec=100_000) as storage:
        await group.proxy.stop()
        group.device.write(0, blocks(1))
        await until(lambda: storage.has_logged("There is no available proxy"))
        await group.proxy.start()
        await group.wait_sent(storage)


async def test_a_backlog_is_sent_in_pieces_of_the_transfer_size_with_gids_of_their_own(group: Group) -> None:
    async with group.target(max_wlog_send_mib=1) as storage:
        await group.proxy.stop()
        for number in range(12):
            group.device.write(0, blocks(number + 1, 255))
        await storage.call("snapshot", "v0")
        await group.proxy.start()
        await storage.call("kick")
        await group.wait_sent(storage)
    pieces = group.proxy.received[1:]
    assert len(pieces) >= 2
    assert all(len(piece.data) <= 1 << 20 for piece in pieces)
    assert [piece.diff.begin for piece in pieces[1:]] == [piece.diff.end for piece in pieces[:-1]]


async def test_log_that_is_not_permanent_waits(group: Group) -> None:
    async with group.target() as storage:
        sent = len(group.proxy.received)
        group.device.write(0, blocks(1), is_permanent=False)
        await storage.call("kick")
        await until(lambda: not storage.daemon.context.queue.running_count)
        assert (len(group.proxy.received), volume_of(storage).records.queue) == (sent, [])
        group.device.permanent = group.device.latest
        group.device.tell()
        await group.wait_sent(storage)
        assert volume_of(storage).records.done.lsid == group.device.latest


async def test_a_snapshot_counts_only_when_the_log_before_it_is_durable(group: Group) -> None:
    async with group.target(QuickWorld(speed=1)) as storage:
        group.device.write(0, blocks(1), is_permanent=False)
        snapshot = asyncio.create_task(storage.call("snapshot", "v0"))
        for _ in range(20):
            await storage.call("status", "v0")
        assert not snapshot.done()
        assert volume_of(storage).records.newest.lsid < group.device.latest
        group.device.permanent = group.device.latest
        group.device.tell()
        await snapshot
        await group.wait_sent(storage)
        assert volume_of(storage).records.done.lsid == group.device.latest


async def test_snapshots_behind_the_end_of_the_log_are_forgotten_after_a_power_failure(group: Group) -> None:
    async with group.target() as storage:
        volume = volume_of(storage)
        done = volume.records.done
        # As walb-tools takes them: at an lsid that was not durable when the power failed.
        await volume.records.take(group.device.latest + 100, 2048, is_mergeable=False)
        group.device.write(0, blocks(1))
        await group.wait_sent(storage)
        assert volume.records.done.lsid == group.device.latest
        assert volume.records.done.gid > done.gid
        assert "snapshots lost with the end of the log" in "\n".join(storage.lines)


async def test_an_explicit_snapshot_without_writes_is_an_empty_diff(group: Group) -> None:
    async with group.target() as storage:
        (first,), (second,) = await storage.call("snapshot", "v0"), await storage.call("snapshot", "v0")
        await group.wait_sent(storage)
        assert group.proxy.diffs()[-1] == f"|{first}|-->|{second}|"
        assert group.proxy.received[-1].data == b""


async def test_a_damaged_log_is_never_skipped_and_its_header_is_kept(group: Group) -> None:
    async with group.target() as storage:
        await group.proxy.stop()
        group.device.write(0, blocks(1))
        group.device.damage_log(0)
        await group.proxy.start()
        await storage.call("kick")
        await until(lambda: storage.has_logged("log pack at lsid 0"))
        assert (group.base / "v0" / "logpackheader-0").read_bytes() == b"\x55" * 512
        assert volume_of(storage).records.done.lsid == 0
        assert await storage.state() == "Target"


async def test_a_cleared_log_is_noticed_and_nothing_of_the_new_one_is_given_free(group: Group) -> None:
    async with group.target() as storage:
        group.device.write(0, blocks(1))
        await group.wait_sent(storage)
        await group.device.reset_wal()
        for number in range(8):
            group.device.write(number, blocks(2))
        group.device.checkpoint()
        await until(lambda: storage.has_logged("instead of"))
        assert group.device.oldest == 0
        with pytest.raises(Refused, match="has uuid"):
            await storage.call("snapshot", "v0")


async def test_an_overflow_stops_a_target_for_good(group: Group) -> None:
    async with group.target() as storage:
        group.device.is_overflow = True
        group.device.write(0, blocks(1))
        await until(lambda: volume_of(storage).state == "Stopped")
        assert not volume_of(storage).monitor.is_running
        with pytest.raises(Refused, match="overflow"):
            await storage.call("start", "v0", "target")
    async with group.storage() as storage:
        assert await storage.state() == "Stopped"


async def test_an_overflow_whose_state_cannot_be_saved_leaves_the_volume_watched(group: Group) -> None:
    files = FaultyFiles()
    async with group.target(QuickWorld(files)) as storage:
        files.fails = lambda operation, path: path.name == "state"
        group.device.is_overflow = True
        group.device.write(0, blocks(1))
        await until(lambda: storage.has_logged("No space left"))
        assert volume_of(storage).monitor.is_running
        files.fails = lambda *_: False
        await until(lambda: volume_of(storage).state == "Stopped")


async def test_a_device_that_comes_back_is_served_again(group: Group) -> None:
    async with group.target() as storage:
        group.device.is_away = True
        await until(lambda: storage.has_logged("cannot reach walb device"))
        group.device.write(0, blocks(1))
        group.device.is_away = False
        await group.wait_sent(storage)


async def test_a_defect_of_the_device_does_not_end_the_monitoring(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with group.target() as storage:
        with monkeypatch.context() as patch:

            async def broken() -> None:
                raise ValueError("no such key")

            patch.setattr(group.device, "lsids", broken)
            group.device.tell()
            await until(lambda: storage.has_logged("monitor:v0:"))
        group.device.write(0, blocks(1))
        await group.wait_sent(storage)


async def test_a_snapshot_overtaken_by_an_implicit_one_is_taken_all_the_same(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with group.target() as storage:
        volume = volume_of(storage)
        lsids = group.device.lsids

        async def overtaken() -> object:
            seen = await lsids()
            await volume.records.take(seen.latest + 5, 4096, is_mergeable=True)
            return seen

        await storage.call("stop", "v0")
        monkeypatch.setattr(group.device, "lsids", overtaken)
        (gid,) = await storage.call("snapshot", "v0")
        assert int(gid) == volume.records.newest.gid


async def test_a_stop_that_fails_leaves_the_volume_sending(group: Group) -> None:
    files = FaultyFiles()
    async with group.target(QuickWorld(files)) as storage:
        files.fails = lambda operation, path: path.name == "state"
        with pytest.raises(Refused, match="No space left"):
            await storage.call("stop", "v0")
        files.fails = lambda *_: False
        group.device.write(0, blocks(1))
        await group.wait_sent(storage)
        assert await storage.state() == "Target"


async def test_a_client_that_goes_away_does_not_leave_the_stop_half_done(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = Connection.send

    async def cut_at_accept(self: Connection, kind: FrameType, payload: bytes = b"") -> None:
        if kind is FrameType.ACCEPT:
            self.close()
        await send(self, kind, payload)

    async with group.target() as storage:
        with monkeypatch.context() as patch:
            patch.setattr(Connection, "send", cut_at_accept)
            with pytest.raises(PeerUnreachable):
                await storage.call("stop", "v0", wait=False)
        await until(lambda: volume_of(storage).state == "Stopped")
        assert volume_of(storage).stop_state.text == "NotStopping"
        await storage.call("start", "v0", "target")


@pytest.mark.parametrize("phase", ["connect", "acknowledgement", "device"])
async def test_a_forced_stop_ends_a_transfer_in_every_phase(group: Group, phase: str) -> None:
    gate = Gate()
    async with group.target(QuickWorld(speed=10)) as storage:
        if phase == "acknowledgement":
            group.proxy.before_ack = gate
        elif phase == "connect":
            network = storage.world.network

            class Silent(Network):
                async def connect(self, host: str, port: int, timeout_sec: float) -> Stream:
                    if port == group.proxy.port:
                        await gate()
                    return await network.connect(host, port, timeout_sec)

            storage.world.network = Silent()
        group.device.write(0, blocks(1))
        if phase == "device":
            group.device.hangs = True
            await storage.call("kick")
            await until(lambda: volume_of(storage).actions.total)
        else:
            await gate.reached.wait()
        async with asyncio.timeout(8):
            await storage.call("stop", "v0", "force")
        assert await storage.state() == "Stopped"
        assert volume_of(storage).records.done.lsid == 0
        group.device.hangs = False
        gate.opened.set()


async def test_a_standby_volume_sends_nothing_and_gives_its_log_free(group: Group) -> None:
    async with group.storage() as storage:
        await storage.call("init-vol", "v0", "w0")
        await storage.call("start", "v0", "standby")
        group.device.write(0, blocks(1))
        group.device.checkpoint()
        await until(lambda: group.device.oldest == group.device.latest)
        assert group.proxy.received == []
        await storage.call("stop", "v0")
        assert await storage.state() == "SyncReady"


async def test_one_device_that_hangs_does_not_hide_the_others_from_status(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("walbd.storage.status.DEVICE_SEC", 0.1)
    async with group.target() as storage:
        group.device.hangs = True
        lines = await storage.call("status")
        assert any("does not answer" in line for line in lines)
        assert any("does not answer" in line for line in await storage.call("status", "v0"))
        group.device.hangs = False
        group.device.tell()


async def test_one_device_that_hangs_does_not_hide_the_log_usage_of_the_others(
    group: Group, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("walbd.storage.commands.DEVICE_SEC", 0.1)
    group.devices.by_name["w1"] = FakeDevice(tmp_path / "dev", "w1")
    async with group.storage() as storage:
        for number in range(2):
            await storage.call("init-vol", f"v{number}", f"w{number}")
        group.device.hangs = True
        try:
            async with asyncio.timeout(2):
                (line,) = await storage.get("log-usage")
            assert line.startswith("name:v1\t")
        finally:
            group.device.hangs = False
            group.device.tell()
