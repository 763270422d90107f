"""A small blocking NBD client over a Unix socket: one request at a time."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path
from types import TracebackType

from walbd.device import nbd_protocol as nbd
from walbd.model.error import PeerUnreachable, ProtocolViolation, StorageFailure

MAX_REQUEST_BYTES = 1 << 20
DEFAULT_TIMEOUT_SEC = 60.0


class NbdClient:
    """A connection to an export. Raises PeerUnreachable when the server goes away or does not answer in time, and
    StorageFailure when it refuses a request. Offsets and lengths are bytes, multiples of 512."""

    def __init__(self, path: Path | str, export: str = "", timeout_sec: float = DEFAULT_TIMEOUT_SEC) -> None:
        self._where = f"NBD server {path}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(timeout_sec)
        self._cookie = 0
        try:
            try:
                self._socket.connect(str(path))
            except OSError as error:
                hint = "is walb-device running?"
                raise PeerUnreachable(f"cannot reach {self._where}: {error.strerror}", hint) from error
            self.size_bytes = self._negotiate(export.encode())
        except BaseException:
            self._socket.close()
            raise

    def _negotiate(self, export: bytes) -> int:
        init, option_magic, flags = nbd.GREETING.unpack(self._receive(nbd.GREETING.size))
        if init != nbd.INIT_MAGIC or option_magic != nbd.OPTION_MAGIC or not flags & nbd.FLAG_FIXED_NEWSTYLE:
            raise ProtocolViolation(f"{self._where} speaks another protocol")
        payload = struct.pack(">I", len(export)) + export + struct.pack(">H", 0)
        client_flags = struct.pack(">I", flags & (nbd.FLAG_FIXED_NEWSTYLE | nbd.FLAG_NO_ZEROES))
        self._send(client_flags + nbd.OPTION.pack(nbd.OPTION_MAGIC, nbd.OPT_GO, len(payload)) + payload)
        size_bytes = -1
        while True:
            magic, option, kind, length = nbd.OPTION_REPLY.unpack(self._receive(nbd.OPTION_REPLY.size))
            if magic != nbd.OPTION_REPLY_MAGIC or option != nbd.OPT_GO or length > nbd.MAX_OPTION_BYTES:
                raise ProtocolViolation(f"{self._where} answered the negotiation wrongly")
            answer = self._receive(length)
            if kind == nbd.REP_INFO and answer[:2] == struct.pack(">H", nbd.INFO_EXPORT):
                size_bytes = nbd.EXPORT_INFO.unpack(answer)[1]
            elif kind == nbd.REP_ACK and size_bytes >= 0:
                return size_bytes
            elif kind != nbd.REP_INFO:
                raise StorageFailure(f"{self._where} refused the export ({kind:#x})", "is that the device's name?")

    def read(self, offset: int, size: int) -> bytes:
        """The content of a range."""
        pieces = []
        for at in range(offset, offset + size, MAX_REQUEST_BYTES):
            count = min(MAX_REQUEST_BYTES, offset + size - at)
            self._request(nbd.CMD_READ, 0, at, count)
            pieces.append(self._receive(count))
        return b"".join(pieces)

    def write(self, offset: int, data: bytes | bytearray | memoryview, fua: bool = False) -> None:
        """Writes; with fua it is durable when this returns."""
        view = memoryview(data)
        for at in range(0, len(view), MAX_REQUEST_BYTES):
            piece = view[at : at + MAX_REQUEST_BYTES]
            self._request(nbd.CMD_WRITE, nbd.CMD_FLAG_FUA if fua else 0, offset + at, len(piece), piece)

    def flush(self) -> None:
        """Makes every completed write durable."""
        self._request(nbd.CMD_FLUSH, 0, 0, 0)

    def trim(self, offset: int, size: int) -> None:
        """Discards a range; it reads as zeros afterwards."""
        self._request(nbd.CMD_TRIM, 0, offset, size)

    def write_zeroes(self, offset: int, size: int) -> None:
        """Writes zeros."""
        self._request(nbd.CMD_WRITE_ZEROES, 0, offset, size)

    def close(self) -> None:
        """Says good-bye. What was not flushed may be lost in a power cut, as with any disk."""
        try:
            self._socket.sendall(nbd.REQUEST.pack(nbd.REQUEST_MAGIC, 0, nbd.CMD_DISC, 0, 0, 0))
        except OSError:
            pass  # the server is gone already
        self._socket.close()

    def _request(self, command: int, flags: int, offset: int, size: int, payload: memoryview | None = None) -> None:
        self._cookie += 1
        self._send(nbd.REQUEST.pack(nbd.REQUEST_MAGIC, flags, command, self._cookie, offset, size))
        if payload is not None:
            self._send(payload)
        magic, error, cookie = nbd.REPLY.unpack(self._receive(nbd.REPLY.size))
        if magic != nbd.REPLY_MAGIC or cookie != self._cookie:
            raise ProtocolViolation(f"{self._where} answered wrongly")
        if error:
            raise StorageFailure(f"{self._where} refused a request at byte {offset}: {os.strerror(error)}")

    def _send(self, data: bytes | memoryview) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise PeerUnreachable(f"connection to {self._where} broke: {error.strerror or error}") from error

    def _receive(self, size: int) -> bytes:
        buffer = bytearray(size)
        view = memoryview(buffer)
        while view:
            try:
                count = self._socket.recv_into(view)
            except OSError as error:
                raise PeerUnreachable(f"connection to {self._where} broke: {error.strerror or error}") from error
            if count == 0:
                raise PeerUnreachable(f"{self._where} closed the connection")
            view = view[count:]
        return bytes(buffer)

    def __enter__(self) -> NbdClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
