"""A TCP relay that breaks: it cuts, hangs, delays, damages or refuses connections when told to."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time
from dataclasses import dataclass

from demo.group import HOST

PIECE_BYTES = 64 << 10
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER with 0 s: closing sends RST


@dataclass
class Fault:
    """What happens once that many bytes more have passed in one direction."""

    after_bytes: int
    is_upward: bool
    hangs: bool
    stays: bool
    damages: bool = False
    has_struck: bool = False


class Relay:
    """Forwards connections to a port of this machine. `upward` is from the client to the server."""

    def __init__(self, target_port: int = 0) -> None:
        self.target_port = target_port
        self.passed = {True: 0, False: 0}
        self._fault: Fault | None = None
        self._delay_sec = 0.0
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server((HOST, 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_after(self, count: int, *, upward: bool = True, stays: bool = False) -> Fault:
        """Resets the connection that carries byte number `count` from now on; with `stays` all later ones too, until
        `heal`."""
        return self._arm(Fault(count, upward, False, stays))

    def hang_after(self, count: int, *, upward: bool = True) -> Fault:
        """Forwards nothing any more after `count` bytes, but keeps connections open, until `heal`."""
        return self._arm(Fault(count, upward, True, True))

    def damage_after(self, count: int, *, upward: bool = True) -> Fault:
        """Inverts the bits of byte number `count` from now on; everything else passes."""
        return self._arm(Fault(count, upward, False, False, damages=True))

    def delay(self, sec: float) -> None:
        """Each piece takes so much longer from now on, until `heal`."""
        self._delay_sec = sec

    def heal(self) -> None:
        """Everything passes again; what hung is cut."""
        with self._lock:
            was, self._fault, self._delay_sec = self._fault, None, 0.0
        if was and was.hangs:
            self._reset_all()

    def close(self) -> None:
        """Ends everything."""
        self._listener.close()
        self._reset_all()

    def _arm(self, fault: Fault) -> Fault:
        with self._lock:
            self._fault = fault
        return fault

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with self._lock:
            fault = self._fault
        try:
            if fault and fault.has_struck and not fault.hangs:
                raise ConnectionResetError
            server = socket.create_connection((HOST, self.target_port))
        except OSError:
            reset(client)
            return
        with self._lock:
            self._open |= {client, server}
        try:
            self._forward(client, server)
        finally:
            with self._lock:
                self._open -= {client, server}
            for sock in (client, server):
                sock.close()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        open_ends = {client: server, server: client}
        with contextlib.suppress(OSError, ValueError):
            while open_ends:
                for source in select.select(list(open_ends), [], [])[0]:
                    data = source.recv(PIECE_BYTES)
                    if not data:
                        open_ends.pop(source).shutdown(socket.SHUT_WR)
                        continue
                    time.sleep(self._delay_sec)
                    allowed, verdict = self._judge(len(data), source is client)
                    if verdict == "damage":
                        data = data[:allowed] + bytes([data[allowed] ^ 0xFF]) + data[allowed + 1 :]
                        allowed = len(data)
                    open_ends[source].sendall(data[:allowed])
                    if verdict == "cut":
                        reset(client)
                        reset(server)
                        return

    def _judge(self, count: int, is_upward: bool) -> tuple[int, str]:
        """How much of a piece passes, and what happens then."""
        with self._lock:
            self.passed[is_upward] += count
            fault = self._fault
            if fault is None:
                return count, "pass"
            if fault.has_struck:
                return (0, "pass") if fault.hangs else (0, "cut")
            if fault.is_upward != is_upward:
                return count, "pass"
            if count <= fault.after_bytes:
                fault.after_bytes -= count
                return count, "pass"
            fault.has_struck = True
            if not fault.stays:
                self._fault = None
            if fault.damages:
                return fault.after_bytes, "damage"
            return fault.after_bytes, "pass" if fault.hangs else "cut"

    def _reset_all(self) -> None:
        with self._lock:
            sockets = list(self._open)
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                sock.shutdown(socket.SHUT_RDWR)


def reset(sock: socket.socket) -> None:
    """Closes so that the peer sees a reset."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    sock.close()
