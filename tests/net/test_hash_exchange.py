"""Hash exchange: units that differ at any place, and how far the hashes run ahead."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Awaitable

import pytest

from tests.net.conversations import Source, laid_over
from tests.net.net_testing import WORLD, stream_pair
from walbd.model.compression import CompressOpt
from walbd.model.limits import LB_BYTES
from walbd.net.connection import Connection
from walbd.net.frame import FrameType
from walbd.net.hash_exchange import FRAME_UNITS, STEP_FRAMES, WINDOW_UNITS, Shape, receive_differences, send_differences
from walbd.net.image_chunk import ReadAt
from walbd.net.stream import Acknowledgement, Hooks, Read

NO_HANG_SEC = 30
KEY = bytes(range(32))
# The smallest units that there are.
UNIT_BYTES = Shape(1 << 30, LB_BYTES).unit_bytes


async def exchange(shape: Shape, read: Read, read_at: ReadAt) -> bytes:
    """Both sides, in memory; returns the packs of what differs."""
    here, there = stream_pair()
    newer, older = Connection(here, WORLD), Connection(there, WORLD)
    packs = bytearray()

    async def receive() -> None:
        await receive_differences(older, shape, KEY, read, packs.extend, Hooks())
        await older.send(FrameType.ACK)

    async with asyncio.timeout(NO_HANG_SEC), asyncio.TaskGroup() as group:
        group.create_task(receive())
        group.create_task(send_differences(newer, shape, KEY, read_at, CompressOpt(), Hooks()))
    return bytes(packs)


@pytest.mark.parametrize("different", [{0}, {1}, {0, 1}, {2, 4}, {3, 4, 5}, {0, 1, 2, 3, 4, 5}], ids=str)
async def test_units_that_differ_arrive_wherever_they_are(different: set[int]) -> None:
    older = random.Random(1).randbytes(5 * UNIT_BYTES + 3 * LB_BYTES)
    newer = bytearray(older)
    for number in different:
        newer[number * UNIT_BYTES + LB_BYTES] ^= 1

    def read_at(offset: int, memory: memoryview) -> None:
        memory[:] = newer[offset : offset + len(memory)]

    packs = await exchange(Shape(len(older), LB_BYTES), Source(older).read, read_at)
    assert laid_over(bytearray(older), packs) == newer


async def test_hashes_wait_for_a_newer_side_that_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    unit, bulk = Shape(1 << 30, 64 << 10).unit_bytes, 64 << 10
    shape = Shape((2 * WINDOW_UNITS + 1) * unit, bulk)
    hashed_bytes, ahead_bytes = 0, 0
    is_waiting = threading.Event()
    original = Acknowledgement.unless_done

    async def unless_done(ack: Acknowledgement, pause: Awaitable[None]) -> None:
        nonlocal ahead_bytes
        ahead_bytes = ahead_bytes or hashed_bytes
        is_waiting.set()
        await original(ack, pause)

    def read(memory: memoryview) -> int:
        nonlocal hashed_bytes
        hashed_bytes += len(memory)
        return len(memory)

    def read_at(offset: int, memory: memoryview) -> None:
        assert is_waiting.wait(NO_HANG_SEC)

    monkeypatch.setattr(Acknowledgement, "unless_done", unless_done)
    assert await exchange(shape, read, read_at) == b""
    # The last step is not sent yet.
    assert ahead_bytes <= (WINDOW_UNITS + STEP_FRAMES * FRAME_UNITS) * unit
    assert hashed_bytes == shape.size_bytes
