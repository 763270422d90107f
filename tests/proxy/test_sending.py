"""wdiffs go from the queues to the archives (servers.md sections 4.5, 4.6; failure matrix D1 to D6)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable

import pytest

from tests.group_testing import FaultyFiles, Gate, QuickWorld, Running, until
from tests.proxy.proxy_testing import Surroundings, diff_of, names, queued, volume_of
from tests.storage.storage_testing import blocks
from walbd.model.diff import Diff
from walbd.model.error import BadState, PeerUnreachable, Refused
from walbd.net.wdiff_transfer import COMMAND, Answer
from walbd.proxy.diff_folder import DiffFolder
from walbd.proxy.main import ProxyDaemon
from walbd.world.network import Network, Stream


async def fill(
    around: Surroundings, proxy: Running[ProxyDaemon], count: int, *, is_mergeable: bool = True, begin: int = 0
) -> None:
    """Sends `count` diffs |n|-->|n+1|."""
    for gid in range(begin, begin + count):
        around.device.write(gid % 100, blocks(gid % 200 + 1))
        await around.send(proxy, diff_of(gid, gid + 1, is_mergeable=is_mergeable and gid > 0))


async def test_an_archive_that_is_down_for_long_costs_nothing_but_disk(around: Surroundings) -> None:
    down = around.archives["a1"]
    await down.stop()
    async with around.started() as proxy:
        await fill(around, proxy, 30)
        await until(lambda: not queued(proxy, "a0"))
        assert len(queued(proxy, "a1")) == 30
        assert await proxy.get("is-wdiff-send-error", "v0", "a1") == ["0"]
        await down.start()
        await until(lambda: not queued(proxy, "a1"))
        assert down.accepted() == ["|0|-->|30|"]


async def test_diffs_that_wait_for_a_dead_archive_are_there_after_a_restart(around: Surroundings) -> None:
    await around.archives["a1"].stop()
    async with around.started() as proxy:
        await fill(around, proxy, 3)
        await until(lambda: not queued(proxy, "a0"))
    await around.archives["a1"].start()
    async with around.proxy() as proxy:
        await until(lambda: not queued(proxy, "a1"))
    assert around.archives["a1"].accepted()[-1].endswith("|3|")


async def test_a_host_that_answers_nothing_does_not_hold_up_the_other_archive(around: Surroundings) -> None:
    silent = around.archives["a1"].address
    attempts = 0

    class Silent(Network):
        async def connect(self, host: str, port: int, timeout_sec: float) -> Stream:
            nonlocal attempts
            if port == silent.port:
                attempts += 1
                await asyncio.sleep(0.3)  # a fraction of -to
                raise PeerUnreachable(f"no connection to {host}:{port} within 10 s")
            return await super().connect(host, port, timeout_sec)

    async with around.started(QuickWorld(network=Silent())) as proxy:
        for number in range(5):
            await around.add_archives(proxy, f"v{number + 1}")
            await proxy.call("start", f"v{number + 1}")
        for number in range(6):
            around.sent_lsid = 0
            await around.send(proxy, diff_of(0, 1), volume=f"v{number}")
        await until(lambda: len(around.archives["a0"].offers) == 6)
        for number in range(6):
            await until(lambda: not queued(proxy, "a0", f"v{number}"))  # noqa: B023
            assert queued(proxy, "a1", f"v{number}") == ["|0|-->|1|"]
        # One of the six queues has found out for all of them.
        assert attempts < 6


@pytest.mark.parametrize("way", ["says nothing", "does not answer"])
async def test_an_archive_that_stalls_does_not_hold_up_the_other_archive(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Either it takes connections and says nothing, or it shows that it lives, but has no answer to any offer."""
    monkeypatch.setattr("walbd.proxy.sending.SILENT_SEC", 0.1)
    monkeypatch.setattr("walbd.proxy.sending.ANSWER_SEC", 0.1 if way == "does not answer" else 10.0)
    stalling, offers = around.archives["a1"], 0
    released = asyncio.Event()

    async def stall(*_: object) -> None:
        nonlocal offers
        offers += 1
        await released.wait()

    if way == "says nothing":
        await stalling.stop()
        server = await asyncio.start_server(stall, "127.0.0.1", stalling.port)
    else:
        monkeypatch.setattr(stalling, "conversations", lambda: {COMMAND: stall})
        await stalling.stop()
        await stalling.start()
    # Checks of a lost archive are rare at this speed: what is counted are offers.
    async with around.started(QuickWorld(speed=1), min_delay_sec=100, timeout_sec=60) as proxy:
        for number in range(5):
            await around.add_archives(proxy, f"v{number + 1}")
            await proxy.call("start", f"v{number + 1}")
        for number in range(6):
            around.sent_lsid = 0
            await around.send(proxy, diff_of(0, 1), volume=f"v{number}")
        await until(lambda: not any(queued(proxy, "a0", f"v{number}") for number in range(6)))
        await until(lambda: all(volume_of(proxy, f"v{number}").queues["a1"].trouble for number in range(6)))
        # Silence is found out by one queue for all of them; another answer may be quick.
        assert offers == (1 if way == "says nothing" else 6)
        assert all(queued(proxy, "a1", f"v{number}") == ["|0|-->|1|"] for number in range(6))
        released.set()
    if way == "says nothing":
        server.close()


async def test_an_archive_that_never_acknowledges_does_not_hold_up_the_other_archive(around: Surroundings) -> None:
    """It lives, so that it is not given up; its disk may be slow."""
    gate = Gate()
    around.archives["a1"].at_step = gate
    async with around.started() as proxy:
        await fill(around, proxy, 1)
        await gate.reached.wait()
        await fill(around, proxy, 2, begin=1)
        await until(lambda: not queued(proxy, "a0"))
        assert "has not moved" in volume_of(proxy).queues["a1"].trouble
        assert len(queued(proxy, "a1")) == 3
        gate.opened.set()
        await until(lambda: not queued(proxy, "a1"))
        assert not volume_of(proxy).queues["a1"].trouble


@pytest.mark.parametrize("answer", [Answer.TOO_OLD_DIFF, Answer.DIFFERENT_UUID])
async def test_what_the_archive_does_not_want_any_more_is_dropped(around: Surroundings, answer: Answer) -> None:
    around.archives["a0"].answers = [answer, Answer.ACCEPT]
    async with around.started() as proxy:
        await fill(around, proxy, 1)
        await until(lambda: not queued(proxy, "a0"))
        await fill(around, proxy, 1, begin=1)
        await until(lambda: around.archives["a0"].accepted() == ["|1|-->|2|"])
        await until(lambda: around.archives["a1"].accepted() == ["|0|-->|1|", "|1|-->|2|"])


async def test_diffs_of_another_log_are_not_dropped_in_silence(around: Surroundings) -> None:
    """Some other group's archive may have been named, or the log was begun anew: only an operator can tell."""
    around.archives["a0"].answers = [Answer.DIFFERENT_UUID]
    async with around.started() as proxy:
        await fill(around, proxy, 1)
        await until(lambda: not queued(proxy, "a0"))
        (line,) = [line for line in proxy.lines if "different-uuid" in line]
        assert line.startswith("WARNING transferWdiffIfNecessary:different-uuid:v0:|0|-->|1|:a0 ")
        assert "archive-info get v0 a0" in line and "hash-bkp" in line
        (failure,) = [line for line in await proxy.call("status", "v0") if "lastFailure" in line]
        assert "different-uuid" in failure and "hash-bkp" in failure


@pytest.mark.parametrize("answer", [Answer.TOO_NEW_DIFF, Answer.SYNCING])
async def test_patience_has_no_end_where_the_archive_will_take_it_some_day(
    around: Surroundings, answer: Answer
) -> None:
    around.archives["a0"].answers = [answer] * 8 + [Answer.ACCEPT]
    async with around.started(retry_timeout_sec=1, max_delay_sec=1) as proxy:
        await fill(around, proxy, 1)
        await until(lambda: not queued(proxy, "a0"))


async def test_an_archive_that_refuses_too_long_needs_an_operator(around: Surroundings) -> None:
    around.archives["a0"].answers = [Answer.STOPPED]
    async with around.started(retry_timeout_sec=5, max_delay_sec=1) as proxy:
        await fill(around, proxy, 1)
        await until(lambda: proxy.has_logged("SEND_ERROR_NO_MORE_RETRY:v0:a0"))
        assert await proxy.get("is-wdiff-send-error", "v0", "a0") == ["1"]
        assert queued(proxy, "a0") == ["|0|-->|1|"]
        around.archives["a0"].answers = [Answer.ACCEPT]
        await proxy.call("kick", "v0", "a0")
        await until(lambda: not queued(proxy, "a0"))
        assert await proxy.get("is-wdiff-send-error", "v0", "a0") == ["0"]


async def test_new_log_does_not_restart_the_time_an_archive_may_refuse(around: Surroundings) -> None:
    around.archives["a0"].answers = [Answer.STOPPED]
    async with around.started(retry_timeout_sec=20, max_delay_sec=1) as proxy:
        await fill(around, proxy, 1)
        begin = proxy.world.monotonic()
        gid = 1
        while not proxy.has_logged("SEND_ERROR_NO_MORE_RETRY"):
            assert proxy.world.monotonic() - begin < 1500
            await fill(around, proxy, 1, begin=gid)
            gid += 1


@pytest.mark.parametrize("between", [Answer.TOO_NEW_DIFF, None])
async def test_an_archive_that_was_patient_or_away_meanwhile_has_not_refused_all_the_time(
    around: Surroundings, between: Answer | None
) -> None:
    archive, world = around.archives["a0"], QuickWorld()
    archive.answers = [Answer.STOPPED]
    async with around.started(world, retry_timeout_sec=100, max_delay_sec=1) as proxy:
        await fill(around, proxy, 1)
        await until(lambda: archive.offers)
        refused_sec = world.monotonic()
        if between is None:
            await archive.stop()
        else:
            archive.answers = [between]
        await until(lambda: world.monotonic() > refused_sec + 101)
        archive.answers = [Answer.STOPPED, Answer.ACCEPT]
        if between is None:
            await archive.start()
        await until(lambda: not queued(proxy, "a0") or proxy.has_logged("SEND_ERROR_NO_MORE_RETRY"))
        assert not queued(proxy, "a0")


@pytest.mark.parametrize("answer", [Answer.SMALLER_LV_SIZE, Answer.ARCHIVE_NOT_FOUND])
async def test_what_only_an_operator_can_mend_is_not_retried(around: Surroundings, answer: Answer) -> None:
    around.archives["a0"].answers = [answer]
    async with around.started() as proxy:
        await fill(around, proxy, 1)
        await until(lambda: proxy.has_logged("SEND_ERROR_NO_MORE_RETRY:v0:a0"))
        assert queued(proxy, "a0") == ["|0|-->|1|"]


async def test_diffs_of_different_logs_are_never_merged(around: Surroundings) -> None:
    for archive in around.archives.values():
        await archive.stop()
    async with around.started() as proxy:
        await fill(around, proxy, 2)
        first = around.device.super_sector.uuid
        await around.device.reset_wal()
        around.sent_lsid = 0
        await fill(around, proxy, 2, begin=2)
        second = around.device.super_sector.uuid
        for archive in around.archives.values():
            await archive.start()
        await until(lambda: not queued(proxy, "a0"))
    offers = [(str(offer.request.diff), offer.request.uuid) for offer in around.archives["a0"].offers]
    assert offers == [("|0|-->|2|", first), ("|2|-->|4|", second)]


async def test_one_transfer_holds_no_more_files_than_allowed(around: Surroundings) -> None:
    await around.archives["a0"].stop()
    async with around.started(max_wdiff_send_files=3) as proxy:
        await fill(around, proxy, 7)
        await around.archives["a0"].start()
        await until(lambda: not queued(proxy, "a0"))
    assert around.archives["a0"].accepted() == ["|0|-->|3|", "|3|-->|6|", "|6|-->|7|"]


async def test_a_diff_whose_acknowledgement_is_lost_is_sent_again(around: Surroundings) -> None:
    archive = around.archives["a0"]

    async def fail_once(_: str) -> None:
        archive.at_step = None
        raise BadState("disk full for a moment")

    archive.at_step = fail_once
    async with around.started() as proxy:
        await fill(around, proxy, 1)
        await until(lambda: archive.accepted() == ["|0|-->|1|"])
        await until(lambda: not queued(proxy, "a0"))


async def test_a_sent_file_that_cannot_be_removed_is_offered_again_after_a_restart(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with around.started() as proxy:
        with monkeypatch.context() as patch:

            def fail(diffs: object) -> None:
                raise BadState("cannot remove")

            async def at_step(_: str) -> None:
                patch.setattr(volume_of(proxy).queues["a0"].folder, "unlink_files", fail)

            around.archives["a0"].at_step = at_step
            await fill(around, proxy, 1)
            await until(lambda: proxy.has_logged("cannot remove"))
    around.archives["a0"].answers = [Answer.TOO_OLD_DIFF]
    async with around.proxy() as proxy:
        await until(lambda: not queued(proxy, "a0"))
        await until(lambda: names(around.base / "v0" / "sendto" / "a0") == [])


async def test_a_file_that_was_removed_by_hand_does_not_block_the_queue(around: Surroundings) -> None:
    await around.archives["a0"].stop()
    async with around.started() as proxy:
        await fill(around, proxy, 3, is_mergeable=False)
        (around.base / "v0" / "sendto" / "a0" / diff_of(0, 1, is_mergeable=False).file_name).unlink()
        await around.archives["a0"].start()
        await until(lambda: not queued(proxy, "a0"))
        assert around.archives["a0"].accepted() == ["|1|-->|2|", "|2|-->|3|"]
        assert proxy.has_logged("gone from the queue")


async def test_a_damaged_file_is_named_and_never_skipped(around: Surroundings) -> None:
    await around.archives["a0"].stop()
    async with around.started() as proxy:
        await fill(around, proxy, 2, is_mergeable=False)
        path = around.base / "v0" / "sendto" / "a0" / diff_of(0, 1, is_mergeable=False).file_name
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(b"\xff" * len(content))
        await around.archives["a0"].start()
        await proxy.call("kick")
        await until(lambda: proxy.has_logged(path.name))
        assert queued(proxy, "a0") == ["|0|-->|1|", "|1|-->|2|"]
        assert around.archives["a0"].accepted() == []


async def test_a_diff_received_again_while_its_first_copy_is_sent_is_kept(around: Surroundings) -> None:
    gate, archive = Gate(), around.archives["a0"]
    archive.at_step = gate
    async with around.started() as proxy:
        await fill(around, proxy, 1)
        await gate.reached.wait()
        around.sent_lsid = 0
        await around.send(proxy, diff_of(0, 1, later_sec=9))
        gate.opened.set()
        await until(lambda: len(archive.offers) == 2 and not queued(proxy, "a0"))
        assert archive.offers[1].request.diff.timestamp == diff_of(0, 1, later_sec=9).timestamp


async def test_the_delay_of_an_archive_is_kept(around: Surroundings) -> None:
    async with around.proxy(QuickWorld(speed=20)) as proxy:
        await proxy.call("archive-info", "add", "v0", "a0", str(around.archives["a0"].address), "gzip:6:1", "20")
        await proxy.call("start", "v0")
        begin = proxy.world.monotonic()
        await fill(around, proxy, 1)
        await until(lambda: around.archives["a0"].offers)
        assert proxy.world.monotonic() - begin >= 20


async def test_stop_empty_waits_for_the_queues_and_takes_no_more_log(around: Surroundings) -> None:
    gate = Gate()
    around.archives["a0"].at_step = gate
    async with around.started() as proxy:
        await fill(around, proxy, 2)
        await gate.reached.wait()
        stopping = asyncio.create_task(proxy.call("stop", "v0", "empty"))
        await until(lambda: volume_of(proxy).state == "WaitForEmpty")
        with pytest.raises(Refused, match=r"bad state:v0:WaitForEmpty|verifyStopState"):
            await around.send(proxy, diff_of(2, 3))
        gate.opened.set()
        await stopping
        assert await proxy.state() == "Stopped"
        assert queued(proxy, "a0") == queued(proxy, "a1") == []


async def test_stop_empty_is_ended_by_a_forced_stop(around: Surroundings) -> None:
    await around.archives["a0"].stop()
    async with around.started() as proxy:
        await fill(around, proxy, 1)
        stopping = asyncio.create_task(proxy.call("stop", "v0", "empty"))
        await until(lambda: volume_of(proxy).state == "WaitForEmpty")
        await proxy.call("stop", "v0", "force")
        await stopping
        assert await proxy.state() == "Stopped"
        assert queued(proxy, "a0") == ["|0|-->|1|"]


async def test_a_stop_that_fails_leaves_the_volume_sending(around: Surroundings) -> None:
    files = FaultyFiles()
    async with around.started(QuickWorld(files)) as proxy:
        await around.archives["a0"].stop()
        await fill(around, proxy, 1)
        files.fails = lambda operation, path: path.name == "state"
        with pytest.raises(Refused, match="No space left"):
            await proxy.call("stop", "v0")
        assert await proxy.state() == "Started"
        await around.archives["a0"].start()
        await until(lambda: not queued(proxy, "a0"))


@pytest.mark.parametrize("phase", ["connect", "acknowledgement"])
async def test_a_forced_stop_ends_sending_in_every_phase(around: Surroundings, phase: str) -> None:
    gate = Gate()
    async with around.started(QuickWorld(speed=10)) as proxy:
        if phase == "connect":
            real = proxy.world.network

            class Silent(Network):
                async def connect(self, host: str, port: int, timeout_sec: float) -> Stream:
                    if port == around.archives["a0"].port:
                        await gate()
                    return await real.connect(host, port, timeout_sec)

            proxy.world.network = Silent()
        else:
            around.archives["a0"].at_step = gate
        await fill(around, proxy, 1)
        await gate.reached.wait()
        async with asyncio.timeout(5):
            await proxy.call("stop", "v0", "force")
        assert await proxy.state() == "Stopped"
        assert queued(proxy, "a0") == ["|0|-->|1|"]
        gate.opened.set()


@pytest.mark.parametrize("mode", ["graceful", "force"])
async def test_a_shutdown_ends_while_an_archive_is_dead_and_another_busy(around: Surroundings, mode: str) -> None:
    gate = Gate()
    around.archives["a0"].at_step = gate
    await around.archives["a1"].stop()
    async with around.started(QuickWorld(speed=1)) as proxy:
        await fill(around, proxy, 1)
        await gate.reached.wait()
        await proxy.call("shutdown", mode)
        if mode == "graceful":
            gate.opened.set()
        async with asyncio.timeout(10):
            await proxy.task
    async with around.proxy() as proxy:
        assert queued(proxy, "a1") == ["|0|-->|1|"]
    gate.opened.set()


async def test_stop_empty_tries_again_what_was_given_up(around: Surroundings) -> None:
    around.archives["a0"].answers = [Answer.ARCHIVE_NOT_FOUND, Answer.ACCEPT]
    async with around.started() as proxy:
        await fill(around, proxy, 1)
        await until(lambda: proxy.has_logged("SEND_ERROR_NO_MORE_RETRY:v0:a0"))
        await proxy.call("stop", "v0", "empty")
        assert around.archives["a0"].accepted() == ["|0|-->|1|"]


async def test_a_diff_that_comes_again_while_the_sent_one_is_being_removed_keeps_its_file(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, opened = threading.Event(), threading.Event()
    unlink_files = DiffFolder.unlink_files

    def held(folder: DiffFolder, diffs: Iterable[Diff]) -> None:
        going = list(diffs)
        if folder.path.name == "a0" and going and not reached.is_set():
            reached.set()
            opened.wait(30)
        unlink_files(folder, going)

    monkeypatch.setattr(DiffFolder, "unlink_files", held)
    async with around.started() as proxy:
        await fill(around, proxy, 1)
        await until(reached.is_set)
        # The acknowledgement was lost: the storage sends the same range again, so the file has the same name.
        around.sent_lsid = 0
        again = asyncio.create_task(around.send(proxy, diff_of(0, 1, is_mergeable=False)))
        for _ in range(20):
            await proxy.call("status", "v0")
        opened.set()
        await again
        await until(lambda: not queued(proxy, "a0"))
        assert not proxy.has_logged("wdiffs are gone")
