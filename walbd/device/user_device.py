"""The user-space device as walb-storage and wdevc see it: a client of its control socket."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from walbd.device.control import (
    CONTROL_SUFFIX,
    MAX_LINE_BYTES,
    NBD_SUFFIX,
    Json,
    decode_line,
    encode_line,
    info_from_json,
    lsids_from_json,
    lsids_to_json,
    result_of,
)
from walbd.device.device import DeviceInfo, LsidSet
from walbd.model.error import InvalidArgument, NotFound, PeerUnreachable, ProtocolViolation, StorageFailure, WalbError

ANSWER_SEC = 60.0


T = TypeVar("T")


def _understood(path: Path, read: Callable[[], T], *failures: type[WalbError]) -> T:
    """What an answer says. Raises ProtocolViolation, which names the device, when it cannot be read."""
    try:
        return read()
    except failures as error:
        raise ProtocolViolation(f"walb device {path} answers nonsense: {error.message}") from error


class _Channel:
    """One connection to the control socket, made when needed, again after it broke. One request at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: Json, timeout_sec: float | None) -> Json:
        """The result of one request. Raises what the server answered, or PeerUnreachable."""
        async with self._lock:
            if self._streams is not None and self._streams[0].at_eof():
                await self.close()  # the server was started anew since the last request
            return await self._exchange(request, timeout_sec)

    async def _exchange(self, request: Json, timeout_sec: float | None) -> Json:
        try:
            async with asyncio.timeout(timeout_sec):
                reader, writer = self._streams or await self._connect()
                writer.write(encode_line(request))
                await writer.drain()
                line = await reader.readline()
        except BaseException as error:
            await self.close()  # an answer that comes later would be taken for the next one's
            if isinstance(error, TimeoutError):
                raise PeerUnreachable(f"walb device {self._path} did not answer in time") from error
            if isinstance(error, (OSError, ValueError)):
                raise PeerUnreachable(f"walb device {self._path} does not answer") from error
            raise
        if not line.endswith(b"\n"):
            await self.close()
            raise PeerUnreachable(f"walb device {self._path} closed the connection")
        return _understood(self._path, lambda: result_of(decode_line(line)), ProtocolViolation)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            self._streams = await asyncio.open_unix_connection(str(self._path), limit=MAX_LINE_BYTES)
        except FileNotFoundError as error:
            raise NotFound(f"no walb device at {self._path}", "is walb-device running?") from error
        except OSError as error:
            hint = "is walb-device running?"
            raise PeerUnreachable(f"cannot reach walb device {self._path}: {error.strerror}", hint) from error
        return self._streams

    async def wait_for_end(self) -> None:
        """Returns when the server has closed the connection, which it does when it has stopped."""
        if self._streams is not None:
            await self._streams[0].read()

    async def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class UserDevice:
    """WalbDevice served by walb-device at a control socket."""

    def __init__(self, control_path: Path) -> None:
        self.control_path = control_path
        self.name = control_path.name.removesuffix(CONTROL_SUFFIX)
        self._requests = _Channel(control_path)
        # A wait keeps its connection busy for long; requests go beside it.
        self._waits = _Channel(control_path)
        self._events: int | None = None
        self._paths = ("", "")

    @property
    def nbd_path(self) -> Path:
        """The socket on which the device is served as NBD."""
        return self.control_path.with_name(self.name + NBD_SUFFIX)

    async def _ask(self, operation: str, **parameters: object) -> Json:
        return await self._requests.ask({"op": operation, **parameters}, ANSWER_SEC)

    async def _member(self, kind: type[T], name: str, operation: str, **parameters: object) -> T:
        """One member of an answer."""
        return self._checked(kind, name, await self._ask(operation, **parameters))

    def _checked(self, kind: type[T], name: str, answer: Json) -> T:
        value = answer.get(name)
        if not isinstance(value, kind):
            raise ProtocolViolation(f"walb device {self.control_path} answers nonsense: no {name}")
        return value

    def _lsids(self, answer: Json) -> LsidSet:
        return _understood(self.control_path, lambda: lsids_from_json(answer.get("lsids")), InvalidArgument)

    async def info(self) -> DeviceInfo:
        answer = await self._ask("info")
        info = _understood(self.control_path, lambda: info_from_json(answer), ProtocolViolation)
        self._paths = info.ldev_path, info.ddev_path
        return info

    async def lsids(self) -> LsidSet:
        return self._lsids(await self._ask("lsids"))

    async def wait(self, seen: LsidSet, timeout_sec: float) -> LsidSet:
        request: Json = {"op": "wait", "lsids": lsids_to_json(seen), "timeout_sec": timeout_sec}
        if self._events is not None:
            request["events"] = self._events
        answer = await self._waits.ask(request, timeout_sec + ANSWER_SEC)
        self._events = self._checked(int, "events", answer)
        return self._lsids(answer)

    async def set_oldest(self, lsid: int) -> None:
        await self._ask("set-oldest", lsid=lsid)

    async def take_checkpoint(self) -> None:
        await self._ask("checkpoint")

    async def reset_wal(self) -> None:
        await self._ask("reset-wal")

    async def resize(self, size_lb: int) -> None:
        await self._ask("resize", size_lb=size_lb)

    async def freeze(self, timeout_sec: int) -> None:
        await self._ask("freeze", timeout_sec=timeout_sec)

    async def melt(self) -> None:
        await self._ask("melt")

    async def checkpoint_interval_ms(self) -> int:
        return await self._member(int, "checkpoint_interval_ms", "info")

    async def set_checkpoint_interval_ms(self, interval_ms: int) -> None:
        await self._ask("set-checkpoint-interval", interval_ms=interval_ms)

    async def is_frozen(self) -> bool:
        return await self._member(bool, "is_frozen", "info")

    async def is_flush_capable(self) -> bool:
        return True

    async def attach(self, index: int | None, timeout_sec: int, dead_sec: int) -> str:
        """Makes it a block device of the kernel, /dev/nbdN with this index or the first free one; returns that. Raises
        BadState when it is attached, or that node is in use, and what docs/device.md lists."""
        parameters = {"index": index, "timeout_sec": timeout_sec, "dead_sec": dead_sec}
        return await self._member(str, "node", "attach", **parameters)

    async def detach(self, is_forced: bool) -> None:
        """Takes it away from the kernel; refused while it is mounted or otherwise in use, unless forced."""
        await self._ask("detach", force=is_forced)

    async def numbers(self) -> tuple[int, int]:
        """(major, minor) of the kernel's block device, (0, 0) when it is not attached."""
        info = await self._ask("info")
        return self._checked(int, "major", info), self._checked(int, "minor", info)

    async def server_pid(self) -> int:
        """Process id of the server."""
        return await self._member(int, "pid", "info")

    async def delete(self, is_forced: bool) -> None:
        await self._ask("stop", force=is_forced)
        await self._requests.wait_for_end()

    def open_log(self) -> int:
        return self._open(self._paths[0])

    def open_data(self) -> int:
        return self._open(self._paths[1])

    def _open(self, path: str) -> int:
        if not path:
            raise StorageFailure(f"the devices below {self.name} are not known yet", "ask for info first")
        try:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise StorageFailure(f"cannot open {path}: {error.strerror}") from error

    async def close(self) -> None:
        await self._requests.close()
        await self._waits.close()
