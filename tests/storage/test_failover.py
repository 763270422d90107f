"""The preferred proxy dies, hangs, refuses or is stopped: the next takes over within seconds, and hands back later."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest

from tests.group_testing import FakeProxy, Gate, QuickWorld, until
from tests.storage.fake_device import FakeDevice
from tests.storage.storage_testing import Group, blocks, volume_of
from walbd.model.error import BadState, PeerUnreachable
from walbd.net.connection import Connection
from walbd.net.control import call
from walbd.net.control_reply import Outcome
from walbd.net.frame import FrameType, encode
from walbd.wlog.source import LogSource


class SilentProxy(FakeProxy):
    """Takes connections and, while `is_hanging`, does not answer requests; while `is_damaging`, its answers arrive
    damaged."""

    def __init__(self) -> None:
        super().__init__("p9")
        self.gate = Gate()
        self.is_hanging = self.is_damaging = False
        self.attempts = 0

    async def _receive(self, connection: Connection) -> None:
        self.attempts += 1
        if self.is_hanging:
            await self.gate()
        if self.is_damaging:
            answer = encode(FrameType.ACCEPT)
            await connection.write(answer[:-1] + bytes([answer[-1] ^ 1]))
            return
        await super()._receive(connection)


@pytest.fixture
async def preferred() -> AsyncIterator[SilentProxy]:
    """A proxy to be named before the group's."""
    proxy = SilentProxy()
    await proxy.start()
    yield proxy
    await proxy.stop()


@contextmanager
def impatient() -> Iterator[None]:
    """Waiting three real seconds for a proxy that hangs shows no more than waiting for a tenth of one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("walbd.storage.sending.ASK_SEC", 0.1)
        patch.setattr("walbd.server.peer_check.CHECK_TIMEOUT_SEC", 0.1)
        patch.setattr("walbd.storage.sending.STALLED_SEC", 0.1)
        yield


@pytest.mark.parametrize("way", ["dies", "hangs", "has a disk that hangs", "refuses", "answers are damaged"])
async def test_the_next_proxy_takes_over_and_the_preferred_one_is_used_again(
    group: Group, preferred: SilentProxy, way: str
) -> None:
    proxies = (preferred.address, group.proxy.address)
    async with group.target(QuickWorld(speed=20), proxies=proxies) as storage:
        assert preferred.received and not group.proxy.received
        if way == "dies":
            await preferred.stop()
        elif way == "hangs":
            preferred.is_hanging = True
        elif way == "has a disk that hangs":
            preferred.before_ack = preferred.gate
        elif way == "answers are damaged":
            preferred.is_damaging = True
        else:
            preferred.refusal = BadState("bad state:v0:Stopped")
        with impatient() if "hang" in way else nullcontext():
            group.device.write(0, blocks(1))
            await group.wait_sent(storage)
        assert blocks(1) in group.proxy.received[-1].data
        if way == "dies":
            await preferred.start()
        preferred.is_hanging, preferred.is_damaging, preferred.refusal = False, False, None
        preferred.gate.opened.set()
        # What it did not acknowledge does not count.
        preferred.received = [received for received in preferred.received if blocks(1) not in received.data]
        await until(lambda: storage.daemon.context.proxies.proxies[0].is_available)
        count = len(group.proxy.received)
        group.device.write(0, blocks(2))
        await group.wait_sent(storage)
        assert blocks(2) in preferred.received[-1].data
        assert len(group.proxy.received) == count
        sent = sorted(preferred.received + group.proxy.received, key=lambda received: received.request.begin_lsid)
        ends = [received.end_lsid for received in sent if received.data]
        assert [received.request.begin_lsid for received in sent if received.data] == [0, *ends[:-1]]


async def test_a_volume_that_no_proxy_takes_does_not_delay_the_others(group: Group) -> None:
    group.devices.by_name["w1"] = FakeDevice(group.base.parent / "dev", "w1")
    async with group.target(min_delay_sec=100_000, max_delay_sec=100_000) as storage:
        await storage.call("init-vol", "v1", "w1")
        await storage.call("full-bkp", "v1")
        await until(lambda: not volume_of(storage, "v1").records.queue)
        group.device.write(0, blocks(1))
        group.device.damage_log(0)
        await until(lambda: volume_of(storage).trouble is not None)
        other = group.devices.by_name["w1"]
        for number in range(3):
            other.write(number, blocks(number))
            await until(lambda: volume_of(storage, "v1").records.done.lsid == other.latest)
        assert volume_of(storage).records.done.lsid == 0


async def test_a_damaged_acknowledgement_has_the_log_sent_to_the_next_proxy(
    group: Group, preferred: SilentProxy
) -> None:
    """The storage cannot know what was meant: it sends the same log elsewhere, and gives none free meanwhile."""
    async with group.target(proxies=(preferred.address, group.proxy.address)) as storage:
        waiting: list[Connection] = []

        async def receive(connection: Connection) -> None:
            waiting.append(connection)
            await SilentProxy._receive(preferred, connection)

        async def garble() -> None:
            frame = bytearray(encode(FrameType.ACK))
            frame[-1] ^= 1
            await waiting[-1].write(bytes(frame))

        preferred._receive, preferred.before_ack = receive, garble  # type: ignore[method-assign]
        await preferred.stop()
        await preferred.start()
        group.device.write(0, blocks(1))
        await group.wait_sent(storage)
        assert blocks(1) in group.proxy.received[-1].data


async def test_a_device_that_hangs_while_log_is_given_free_does_not_delay_the_others(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("walbd.storage.sending.DEVICE_SEC", 0.1)
    other = group.devices.by_name["w1"] = FakeDevice(group.base.parent / "dev", "w1")
    async with group.target(min_delay_sec=100_000, max_delay_sec=100_000) as storage:
        await storage.call("init-vol", "v1", "w1")
        await storage.call("full-bkp", "v1")
        await until(lambda: not volume_of(storage, "v1").records.queue)

        async def hang(lsid: int) -> None:
            await asyncio.Event().wait()

        group.device.set_oldest = hang  # type: ignore[method-assign]
        group.device.write(0, blocks(1))
        group.device.checkpoint()
        await until(lambda: "does not answer" in str(volume_of(storage).trouble))
        other.write(0, blocks(2))
        await until(lambda: volume_of(storage, "v1").records.done.lsid == other.latest)


async def test_a_log_that_hangs_while_it_is_read_does_not_delay_the_others(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that reads cannot be ended: its volume waits, with its reason shown, and goes on by itself."""
    released = threading.Event()
    hanging, other = group.device, FakeDevice(group.base.parent / "dev", "w1")
    group.devices.by_name["w1"] = other
    read = LogSource.read

    def hang(source: LogSource, buffer: memoryview, limit_lsid: int) -> int:
        if os.path.samestat(os.fstat(source._fd), os.stat(hanging.log_path)):
            released.wait(20)
        return read(source, buffer, limit_lsid)

    async with group.target() as storage:
        await storage.call("init-vol", "v1", "w1")
        await storage.call("full-bkp", "v1")
        await until(lambda: not volume_of(storage, "v1").records.queue)
        monkeypatch.setattr(LogSource, "read", hang)
        hanging.write(0, blocks(1))
        await until(lambda: "has not moved" in str(volume_of(storage).trouble))
        assert any("lastFailure sending log has not moved" in line for line in await storage.call("status", "v0"))
        for number in range(3):
            other.write(number, blocks(number))
            await until(lambda: volume_of(storage, "v1").records.done.lsid == other.latest)
        assert volume_of(storage).records.done.lsid == 0
        released.set()
        await group.wait_sent(storage)
        assert volume_of(storage).trouble is None


async def test_a_proxy_that_never_acknowledges_one_volume_does_not_delay_the_others(group: Group) -> None:
    """It lives, so that it is not given up; its disk may be slow."""
    gate = Gate()
    other = group.devices.by_name["w1"] = FakeDevice(group.base.parent / "dev", "w1")
    async with group.target() as storage:
        await storage.call("init-vol", "v1", "w1")
        await storage.call("full-bkp", "v1")
        await until(lambda: not volume_of(storage, "v1").records.queue)
        group.proxy.before_ack = gate
        group.device.write(0, blocks(1))
        await gate.reached.wait()
        group.proxy.before_ack = None
        other.write(0, blocks(2))
        await until(lambda: volume_of(storage, "v1").records.done.lsid == other.latest)
        assert volume_of(storage).records.done.lsid == 0
        gate.opened.set()
        await group.wait_sent(storage)


async def test_a_check_that_began_before_a_transfer_failed_does_not_praise_the_proxy(
    group: Group, preferred: SilentProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()

    async def ask(*_: object) -> str:
        await gate()
        return ""

    async with group.storage(proxies=(preferred.address, group.proxy.address)) as storage:
        proxies = storage.daemon.context.proxies
        monkeypatch.setattr("walbd.storage.proxies.fault_of", ask)
        checking = asyncio.create_task(proxies.check_all())
        await gate.reached.wait()
        proxies.mark_failed(proxies.proxies[0], PeerUnreachable("connection broke"))
        gate.opened.set()
        await checking
        assert [proxy.is_available for proxy in proxies.proxies] == [False, True]
        await until(lambda: proxies.proxies[0].is_available)


async def test_a_proxy_comes_back_after_a_check_of_it_met_a_defect(
    group: Group, preferred: SilentProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = 0

    async def call_with_defect(*args: Any, **kwargs: Any) -> Outcome:
        nonlocal failures
        failures += 1
        if failures <= 2:
            raise ValueError("not expected")
        return await call(*args, **kwargs)

    monkeypatch.setattr("walbd.server.peer_check.call", call_with_defect)
    async with group.target(QuickWorld(speed=20), proxies=(preferred.address, group.proxy.address)) as storage:
        proxies = storage.daemon.context.proxies.proxies
        await until(lambda: failures > 2 and all(proxy.is_available for proxy in proxies))
