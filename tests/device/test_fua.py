"""Whatever a client asks for with FUA, in however many parts it is carried out: answered means durable."""

from __future__ import annotations

import asyncio

import pytest

from tests.device.engine_rig import Rig
from tests.device.slow_transport import SlowTransport
from tests.device.walb_devices import BOUND_SEC
from walbd.device import nbd_protocol as nbd
from walbd.device.user.engine import Engine
from walbd.device.user.handshake import Export
from walbd.device.user.kernel_connection import KernelConnection

LARGE = 600 << 10  # two do not fit one chunk, nor one the ring


class NotingTransport(SlowTransport):
    """Notes for each answered request how much log was not durable then."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine
        self.unsynced_pb: dict[int, int] = {}

    def write(self, data: bytes | bytearray | memoryview) -> None:
        positions = self._engine.positions
        for _, error, cookie in nbd.REPLY.iter_unpack(data):
            assert not error
            self.unsynced_pb[cookie] = positions.latest - positions.permanent
        super().write(data)


@pytest.mark.parametrize(
    ("command", "size"),
    [
        (nbd.CMD_WRITE, 512),
        (nbd.CMD_WRITE, LARGE),
        (nbd.CMD_WRITE_ZEROES, 512),
        (nbd.CMD_WRITE_ZEROES, LARGE),
        (nbd.CMD_TRIM, LARGE),
    ],
)
async def test_what_was_asked_for_with_fua_is_durable_when_it_is_answered(rig: Rig, command: int, size: int) -> None:
    export, transport = Export("vol", 1 << 20, 4096), NotingTransport(rig.engine)
    served = KernelConnection(rig.engine, rig.reader, rig.pool, lambda: export, set(), lambda lost: None)
    served.connection_made(transport)
    sent = nbd.REQUEST.pack(nbd.REQUEST_MAGIC, 0, nbd.CMD_WRITE, 1, 0, LARGE) + bytes(LARGE)
    sent += nbd.REQUEST.pack(nbd.REQUEST_MAGIC, nbd.CMD_FLAG_FUA, command, 2, 0, size)
    sent += bytes(size) if command == nbd.CMD_WRITE else b""
    while sent:
        room = served.get_buffer(-1)
        part = sent[: len(room)]
        room[: len(part)] = part
        served.buffer_updated(len(part))
        sent = sent[len(part) :]
    async with asyncio.timeout(BOUND_SEC):
        while len(transport.unsynced_pb) < 2:
            transport.has_sent.clear()
            await transport.has_sent.wait()
    assert transport.unsynced_pb[2] == 0
    served.connection_lost(None)
