from __future__ import annotations

import asyncio

import pytest

from tests.fakes import FakeWorld, settle
from tests.server.server_testing import SmallVolume, make_runtime
from walbd.model.error import BadState, Cancelled, Corrupted, InvalidArgument, NotFound
from walbd.server.stop_state import StopMode, StopState, parse_stop_mode
from walbd.server.volume import STOP_LIMIT_SEC
from walbd.server.volume_table import VolumeTable


def stopping(volume: SmallVolume, mode: StopMode) -> asyncio.Task[None]:
    return asyncio.create_task(volume.complete_stop(volume.request_stop(mode)))


async def test_a_quiet_volume_stops_at_once() -> None:
    volume = SmallVolume(make_runtime()[0])
    await stopping(volume, StopMode.GRACEFUL)
    assert (volume.state, volume.stop_state, volume.ended) == ("Ready", StopState.NOT_STOPPING, [StopMode.GRACEFUL])


async def test_a_graceful_stop_waits_for_actions_and_state_changes() -> None:
    volume = SmallVolume(make_runtime()[0])
    with volume.machine.begin("Receive") as change, volume.actions.running("Send"):
        task = stopping(volume, StopMode.GRACEFUL)
        await settle()
        assert volume.stop_state is StopState.STOPPING
        assert not volume.is_cancelled()
        change.commit()
        await settle()
        assert not task.done()
    await task
    assert volume.state == "Ready"


async def test_force_takes_over_a_waiting_stop_and_both_see_the_outcome() -> None:
    volume = SmallVolume(make_runtime()[0])
    with volume.actions.running("Send"):
        first = stopping(volume, StopMode.GRACEFUL)
        await settle()
        second = stopping(volume, StopMode.FORCE)
        await settle()
        assert volume.stop_state is StopState.FORCE_STOPPING
        assert volume.is_cancelled()
    await asyncio.gather(first, second)
    assert volume.ended == [StopMode.FORCE]


async def test_a_refused_second_stop_changes_nothing() -> None:
    volume = SmallVolume(make_runtime()[0])
    with volume.actions.running("Send"):
        first = stopping(volume, StopMode.GRACEFUL)
        await settle()
        with pytest.raises(BadState, match="already under stopping:v0"):
            volume.request_stop(StopMode.GRACEFUL)
        assert volume.stop_state is StopState.STOPPING
    await first


async def test_a_stop_in_a_wrong_state_is_refused_before_it_is_accepted() -> None:
    volume = SmallVolume(make_runtime()[0], "Ready")
    with pytest.raises(BadState, match="bad state:v0:Ready"):
        volume.request_stop(StopMode.FORCE)
    assert volume.stop_state is StopState.NOT_STOPPING


async def test_a_stop_gives_up_after_its_limit_and_leaves_the_volume_as_it_was() -> None:
    world = FakeWorld()
    volume = SmallVolume(make_runtime(world)[0])
    with volume.actions.running("Send"):
        task = stopping(volume, StopMode.GRACEFUL)
        await world.advance(STOP_LIMIT_SEC + 1)
        with pytest.raises(BadState, match="timeout:60"):
            await task
    assert (volume.state, volume.stop_state) == ("Running", StopState.NOT_STOPPING)


async def test_stop_empty_waits_without_limit_until_everything_is_sent() -> None:
    world = FakeWorld()
    runtime, _ = make_runtime(world)
    volume = SmallVolume(runtime)
    volume.queued = 1
    task = stopping(volume, StopMode.EMPTY)
    await world.advance(1000)
    assert (volume.state, volume.stop_state) == ("Drain", StopState.WAITING_FOR_EMPTY)
    volume.queued = 0
    runtime.changes.notify()
    await task
    assert volume.state == "Ready"


async def test_a_graceful_stop_ends_the_waiting_of_stop_empty() -> None:
    volume = SmallVolume(make_runtime()[0])
    volume.queued = 1
    first = stopping(volume, StopMode.EMPTY)
    await settle()
    second = stopping(volume, StopMode.GRACEFUL)
    await asyncio.gather(first, second)
    assert (volume.state, volume.ended) == ("Ready", [StopMode.GRACEFUL])


async def test_a_shutdown_ends_the_waiting_of_stop_empty() -> None:
    runtime, _ = make_runtime()
    volume = SmallVolume(runtime)
    volume.queued = 1
    task = stopping(volume, StopMode.EMPTY)
    await settle()
    runtime.shutdown.request("graceful")
    with pytest.raises(Cancelled):
        await task
    assert volume.state == "Running"


async def test_a_forced_stop_of_a_backup_is_done_when_the_backup_has_rolled_back() -> None:
    volume = SmallVolume(make_runtime()[0], "Ready")
    with volume.machine.begin("Backup"):
        task = stopping(volume, StopMode.FORCE)
        await settle()
        assert volume.is_cancelled()
    await task
    assert (volume.state, volume.stop_state) == ("Ready", StopState.NOT_STOPPING)


async def test_rules_refuse_with_the_texts_of_the_reference() -> None:
    volume = SmallVolume(make_runtime()[0])
    with pytest.raises(BadState) as caught:
        volume.check("start")
    assert caught.value.message == "bad state:v0:Running"
    with volume.actions.running("Send"):
        task = stopping(volume, StopMode.GRACEFUL)
        await settle()
        with pytest.raises(BadState) as caught:
            volume.check("get")
        assert caught.value.message == "verifyStopState:v0:4:1"
    await task
    with volume.actions.running("Send"), pytest.raises(BadState) as caught:
        volume.check("start")
    assert caught.value.message == "there are running action:Send:1"


async def test_a_failed_volume_is_listed_and_refuses_commands_with_reason_and_remedy() -> None:
    runtime, lines = make_runtime()
    volume = SmallVolume(runtime)
    volume.mark_failed(Corrupted("state: unknown", "put the file back"))
    assert volume.state == "Failed"
    with pytest.raises(BadState) as caught:
        volume.check("get")
    assert (caught.value.message, caught.value.hint) == ("volume v0 failed: state: unknown", "put the file back")
    assert lines == ["ERROR volume failed:v0:state: unknown (hint: put the file back)"]


async def test_actions_remember_their_last_begin() -> None:
    world = FakeWorld(start_sec=100)
    volume = SmallVolume(make_runtime(world)[0])
    assert (volume.actions.last_begin("Send"), volume.actions.line()) == (0, "Send 0")
    await world.advance(5)
    with volume.actions.running("Send"):
        assert (volume.actions.last_begin("Send"), volume.actions.line()) == (105, "Send 1")


@pytest.mark.parametrize(
    ("text", "mode"),
    [("", StopMode.GRACEFUL), ("graceful", StopMode.GRACEFUL), ("f", StopMode.FORCE), ("empty", StopMode.EMPTY)],
)
def test_the_first_letter_of_a_stop_mode_decides(text: str, mode: StopMode) -> None:
    assert parse_stop_mode(text, may_be_empty=True) is mode


def test_unknown_stop_modes_and_emptying_what_cannot_be_emptied_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="bad stop mode:now"):
        parse_stop_mode("now", may_be_empty=True)
    with pytest.raises(InvalidArgument, match="stop empty is not allowed"):
        parse_stop_mode("empty", may_be_empty=False)


async def test_naming_an_unknown_volume_creates_nothing() -> None:
    table = VolumeTable[SmallVolume]()
    assert table.state("v9") == "Clear"
    with pytest.raises(NotFound, match="bad state:v9:Clear"):
        table.get("v9")
    for name in ("../x", "", "a" * 65):
        with pytest.raises(InvalidArgument):
            table.find(name)
    assert (len(table), table.names()) == (0, [])
