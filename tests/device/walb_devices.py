"""Pairs of log and data device in files, and walb-device processes on them, for the tests of this folder."""

from __future__ import annotations

import os
import signal
import socket
import struct
from collections.abc import Sequence
from pathlib import Path

from demo.group import wait_until
from tests.forked import ForkedProcess
from walbd.device import nbd_protocol as nbd
from walbd.device.nbd_client import NbdClient
from walbd.device.user_device import UserDevice
from walbd.wlog.format_ldev import format_ldev
from walbd.wlog.super_sector import SuperSector, read_super_sector

BOUND_SEC = 60.0


class Pair:
    """A formatted log device and a data device of zeros, in plain files."""

    def __init__(self, folder: Path, log_bytes: int = 256 << 10, data_bytes: int = 1 << 20, pbs: int = 512) -> None:
        self.folder = folder
        self.ldev, self.ddev = folder / "ldev", folder / "ddev"
        self.size_bytes = data_bytes
        for path, size in ((self.ldev, log_bytes), (self.ddev, data_bytes)):
            with open(path, "wb") as file:
                file.truncate(size)
        fd = os.open(self.ldev, os.O_RDWR)
        format_ldev(fd, data_bytes // 512, "vol", pbs=pbs)
        os.close(fd)

    def super_sector(self) -> SuperSector:
        fd = os.open(self.ldev, os.O_RDONLY)
        try:
            return read_super_sector(fd)
        finally:
            os.close(fd)


class Server:
    """A walb-device process; use it as a context manager, which kills it if it still runs."""

    def __init__(self, pair: Pair, name: str = "vol", options: Sequence[str] = ()) -> None:
        self.pair = pair
        self.folder = pair.folder
        self.nbd_path, self.control_path = self.folder / f"{name}.nbd", self.folder / f"{name}.ctl"
        self.log_path = self.folder / "stderr"
        paths = ["-ldev", str(pair.ldev), "-ddev", str(pair.ddev), "-s", str(self.folder)]
        with open(self.log_path, "ab") as log:
            self.process = ForkedProcess(
                ["walb-device", "-n", name, *paths, *options], stdout=log.fileno(), stderr=log.fileno()
            )

    def wait_ready(self) -> Server:
        wait_until(self._is_ready, BOUND_SEC, "the device")
        return self

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, self.log_path.read_text()
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.control_path)) == 0

    def client(self) -> NbdClient:
        return NbdClient(self.nbd_path)

    def device(self) -> UserDevice:
        return UserDevice(self.control_path)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(BOUND_SEC)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()


class RawClient:
    """An NBD connection in the transmission phase over which a test sends what it likes."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(BOUND_SEC)
        self.socket.connect(str(path))
        self.receive(nbd.GREETING.size)
        go = struct.pack(">I", 0) + struct.pack(">H", 0)
        self.socket.sendall(struct.pack(">I", 3) + nbd.OPTION.pack(nbd.OPTION_MAGIC, nbd.OPT_GO, len(go)) + go)
        while True:
            _, _, kind, length = nbd.OPTION_REPLY.unpack(self.receive(nbd.OPTION_REPLY.size))
            self.receive(length)
            if kind == nbd.REP_ACK:
                break

    def receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def request(
        self, command: int, cookie: int, offset: int, size: int, payload: bytes = b"", *, flags: int = 0
    ) -> None:
        self.socket.sendall(nbd.REQUEST.pack(nbd.REQUEST_MAGIC, flags, command, cookie, offset, size) + payload)

    def reply(self) -> tuple[int, int]:
        """(cookie, error) of the next simple reply."""
        magic, error, cookie = nbd.REPLY.unpack(self.receive(nbd.REPLY.size))
        assert magic == nbd.REPLY_MAGIC
        return cookie, error

    def close(self) -> None:
        self.socket.close()
