"""The control socket's server: requests of walb-storage and wdevc, one after the other on each connection."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

from walbd.device.attachment import MAX_TIMEOUT_SEC
from walbd.device.control import (
    MAX_WAIT_SEC,
    Json,
    decode_line,
    encode_line,
    error_answer,
    info_to_json,
    integer,
    lsids_from_json,
    lsids_to_json,
)
from walbd.device.device import DeviceInfo, LsidSet
from walbd.device.kernel_nbd import MAX_INDEX
from walbd.device.user.checkpoint import Checkpointer
from walbd.device.user.engine import Engine
from walbd.device.user.kernel_client import KernelClient
from walbd.model.error import BadState, InvalidArgument, ProtocolViolation, WalbError
from walbd.model.limits import check_range

MAX_CONNECTIONS = 64
# What walb-storage waits for: a change of another lsid does not wake it.
_Interest = tuple[int, int, int]


def _interest(lsids: LsidSet) -> _Interest:
    return lsids.permanent, lsids.prev_written, lsids.oldest


class ControlServer:
    """Answers control requests of one device. `stop(is_forced)` ends the server; `n_clients` counts NBD clients."""

    def __init__(
        self,
        name: str,
        engine: Engine,
        checkpointer: Checkpointer,
        kernel: KernelClient,
        stop: Callable[[], None],
        n_clients: Callable[[], int],
    ) -> None:
        self._name = name
        self._engine = engine
        self._checkpointer = checkpointer
        self._kernel = kernel
        self._stop = stop
        self._n_clients = n_clients
        self._writers: set[asyncio.StreamWriter] = set()
        self._operations: dict[str, Callable[[Json], Awaitable[Json]]] = {
            "info": self._info,
            "lsids": self._lsids,
            "wait": self._wait,
            "set-oldest": self._set_oldest,
            "checkpoint": self._checkpoint,
            "reset-wal": self._reset_wal,
            "resize": self._resize,
            "freeze": self._freeze,
            "melt": self._melt,
            "set-checkpoint-interval": self._set_interval,
            "attach": self._attach,
            "detach": self._detach,
            "stop": self._stop_device,
        }

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until it ends, sends something else than a line of JSON, or the server stops."""
        self._writers.add(writer)
        try:
            if len(self._writers) > MAX_CONNECTIONS:
                raise BadState("too many control connections", "close some")
            while line := await reader.readline():
                writer.write(encode_line(await self._answer(decode_line(line))))
                await writer.drain()
        except (ProtocolViolation, BadState) as error:
            writer.write(encode_line(error_answer(error)))
        except ValueError:
            writer.write(encode_line(error_answer(ProtocolViolation("control line is too long"))))
        except ConnectionError:
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def close(self) -> None:
        """Ends all connections once their last answer is sent."""
        for writer in self._writers:
            writer.close()

    async def _answer(self, request: Json) -> Json:
        operation = self._operations.get(str(request.get("op")))
        try:
            if operation is None:
                raise InvalidArgument(f"unknown control operation {str(request.get('op'))[:40]!r}")
            return {"ok": await operation(request)}
        except WalbError as error:
            return error_answer(error)

    async def _info(self, request: Json) -> Json:
        sector, engine = self._checkpointer.sector, self._engine
        positions = engine.positions
        info = DeviceInfo(
            name=self._name,
            kind="user",
            size_lb=sector.device_size_lb,
            pbs=sector.pbs,
            uuid=sector.uuid,
            salt=sector.salt,
            ring_size_pb=sector.ring_size_pb,
            is_overflow=engine.is_overflow,
            log_usage_pb=positions.latest - positions.oldest,
            ldev_path=engine.files.ldev_path,
            ddev_path=engine.files.ddev_path,
        )
        return {
            **info_to_json(info),
            "is_frozen": self._checkpointer.is_frozen,
            "is_full": engine.is_full_of_log,
            "failure": engine.failure,
            "checkpoint_interval_ms": self._checkpointer.interval_ms,
            "n_clients": self._n_clients(),
            "pid": os.getpid(),
            **self._place(),
        }

    def _place(self) -> Json:
        major, minor = self._kernel.numbers
        return {"node": self._kernel.node, "major": major, "minor": minor}

    async def _lsids(self, request: Json) -> Json:
        return {"lsids": lsids_to_json(self._engine.positions.snapshot()), "events": self._engine.notices.events}

    async def _wait(self, request: Json) -> Json:
        seen = lsids_from_json(request.get("lsids"))
        events = integer(request, "events", self._engine.notices.events)
        timeout_sec = request.get("timeout_sec", MAX_WAIT_SEC)
        if not isinstance(timeout_sec, (int, float)) or not 0 <= timeout_sec <= MAX_WAIT_SEC:
            raise InvalidArgument(f"control parameter timeout_sec must lie in 0..{MAX_WAIT_SEC:g}")
        engine = self._engine
        if engine.positions.snapshot() == seen:
            deadline = asyncio.get_running_loop().time() + timeout_sec
            while engine.notices.events == events and _interest(engine.positions.snapshot()) == _interest(seen):
                left = deadline - asyncio.get_running_loop().time()
                if left <= 0:
                    break
                await engine.notices.changed(left)
        return await self._lsids(request)

    async def _set_oldest(self, request: Json) -> Json:
        await self._checkpointer.set_oldest(integer(request, "lsid"))
        return {}

    async def _checkpoint(self, request: Json) -> Json:
        await self._checkpointer.take()
        return {}

    async def _reset_wal(self, request: Json) -> Json:
        await self._checkpointer.reset_wal()
        return {}

    async def _resize(self, request: Json) -> Json:
        await self._checkpointer.resize(integer(request, "size_lb"))
        await self._kernel.resize()
        return {}

    async def _freeze(self, request: Json) -> Json:
        await self._checkpointer.freeze(integer(request, "timeout_sec", 0))
        return {}

    async def _melt(self, request: Json) -> Json:
        self._checkpointer.melt()
        return {}

    async def _set_interval(self, request: Json) -> Json:
        self._checkpointer.set_interval_ms(integer(request, "interval_ms"))
        return {}

    async def _attach(self, request: Json) -> Json:
        index = None if request.get("index") is None else integer(request, "index")
        if index is not None:
            check_range("index of the NBD device", index, 0, MAX_INDEX)
        timeout_sec, dead_sec = integer(request, "timeout_sec"), integer(request, "dead_sec")
        check_range("time-out in seconds", timeout_sec, 1, MAX_TIMEOUT_SEC)
        check_range("time without a server in seconds", dead_sec, 1, MAX_TIMEOUT_SEC)
        await self._kernel.attach(index, timeout_sec, dead_sec)
        return self._place()

    async def _detach(self, request: Json) -> Json:
        await self._kernel.detach(request.get("force") is True)
        return {}

    async def _stop_device(self, request: Json) -> Json:
        is_forced = request.get("force") is True
        if self._kernel.is_attached:
            if not is_forced:
                raise BadState(f"{self._name} is attached as {self._kernel.node}", "detach it first, or force (-f)")
            await self._kernel.detach(is_forced)
        if self._n_clients() and not is_forced:
            raise BadState(f"{self._name} is in use by {self._n_clients()} NBD clients", "disconnect them, or force")
        self._stop()
        return {}
