"""TCP as the daemons see it: streams that read into and write from caller-owned buffers.

Raw non-blocking sockets on the loop: data goes from the kernel straight into the buffer it is wanted in, and a buffer
may be reused as soon as `write` has returned.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from walbd.model.error import PeerUnreachable, StorageFailure, connecting_hint
from walbd.world.own_thread import in_own_thread

# As getaddrinfo gives it: family, kind, protocol, name, address.
AddressInfo = tuple[int, int, int, str, Any]
OnStream = Callable[["Stream"], Awaitable[None]]
LISTEN_BACKLOG = 128
ACCEPT_RETRY_SEC = 0.1
GATHER_BYTES = 256 << 10
GATHER_SEC = 0.2


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """TCP keep-alive probes: after `idle_sec` of silence, every `interval_sec`, giving up after `count`."""

    idle_sec: int = 1800
    interval_sec: int = 60
    count: int = 10


class Stream(Protocol):
    """A connected byte stream."""

    peer: str

    async def read_into(self, buffer: memoryview) -> int:
        """Reads at least one byte; returns how many, 0 at the end of the stream. Raises PeerUnreachable."""

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Writes all of it; the buffer may be reused afterwards. Raises PeerUnreachable."""

    def keep_alive(self, probes: KeepAlive) -> None:
        """Has the kernel find out whether the peer's host is still there."""

    def finish(self) -> None:
        """Says that nothing more will be written (half close)."""

    def close(self) -> None:
        """Closes both directions at once; pending reads and writes end."""


class Listener(Protocol):
    """A listening address."""

    port: int

    async def serve(self, on_stream: OnStream) -> None:
        """Accepts until closed or cancelled; each stream runs in a task of its own and is closed after it."""

    def close(self) -> None:
        """Stops listening."""


class SocketStream:
    """Stream over a socket.

    Reads and writes are tried at once, and the loop is asked only when the kernel has nothing: most of the cost of
    moving data through a loop is waking up. A reader of much is woken when GATHER_BYTES have come, or after GATHER_SEC.
    """

    def __init__(self, sock: socket.socket, peer: str) -> None:
        sock.setblocking(False)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = sock
        self.peer = peer
        self._low_bytes = 1
        self._waiting: set[asyncio.Future[None]] = set()

    async def read_into(self, buffer: memoryview) -> int:
        while True:
            try:
                return self._socket.recv_into(buffer)
            except BlockingIOError:
                await self._readable(min(len(buffer), GATHER_BYTES))
            except OSError as error:
                raise self._broken(error) from error

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        rest = memoryview(data)
        loop = asyncio.get_running_loop()
        while rest:
            try:
                rest = rest[self._socket.send(rest) :]
            except BlockingIOError:
                await self._wait(loop.add_writer, loop.remove_writer, None)
            except OSError as error:
                raise self._broken(error) from error

    async def _readable(self, low_bytes: int) -> None:
        loop = asyncio.get_running_loop()
        if low_bytes != self._low_bytes:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, low_bytes)
            self._low_bytes = low_bytes
        await self._wait(loop.add_reader, loop.remove_reader, GATHER_SEC if low_bytes > 1 else None)

    async def _wait(
        self,
        add: Callable[[int, Callable[[], None]], object],
        remove: Callable[[int], object],
        limit_sec: float | None,
    ) -> None:
        """Waits until the socket is ready, `close` was called, or the limit has passed."""
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        fd = self._socket.fileno()
        timer = loop.call_later(limit_sec, _wake, ready) if limit_sec is not None else None
        add(fd, partial(_wake, ready))
        self._waiting.add(ready)
        try:
            await ready
        finally:
            self._waiting.discard(ready)
            if timer:
                timer.cancel()
            if self._socket.fileno() >= 0:
                remove(fd)

    def _broken(self, error: OSError) -> PeerUnreachable:
        return PeerUnreachable(f"connection to {self.peer} broke: {error.strerror}")

    def keep_alive(self, probes: KeepAlive) -> None:
        set_keep_alive(self._socket, probes)

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        if self._socket.fileno() < 0:
            return
        if self._waiting:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._socket.fileno())
            loop.remove_writer(self._socket.fileno())
            for ready in self._waiting:
                _wake(ready)
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def set_keep_alive(sock: socket.socket, probes: KeepAlive) -> None:
    """Switches the kernel's probes on; zeros leave the kernel's own numbers. Raises PeerUnreachable."""
    options = (
        (socket.TCP_KEEPIDLE, probes.idle_sec),
        (socket.TCP_KEEPINTVL, probes.interval_sec),
        (socket.TCP_KEEPCNT, probes.count),
    )
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in options:
            if value:
                sock.setsockopt(socket.IPPROTO_TCP, option, value)
    except OSError as error:
        raise PeerUnreachable(f"keep-alive cannot be set: {error.strerror}") from error


class SocketListener:
    """Listener over a socket."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self.port: int = sock.getsockname()[1]
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, on_stream: OnStream) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, address = await loop.sock_accept(self._socket)
            except OSError:
                # The peer is gone again, or files or memory are short for a while: the server goes on.
                if self._socket.fileno() < 0:
                    return
                await asyncio.sleep(ACCEPT_RETRY_SEC)
                continue
            stream = SocketStream(sock, f"{address[0]}:{address[1]}")
            task = asyncio.ensure_future(self._one(stream, on_stream))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _one(self, stream: SocketStream, on_stream: OnStream) -> None:
        try:
            await on_stream(stream)
        finally:
            stream.close()

    def close(self) -> None:
        self._socket.close()


class Network:
    """The real network."""

    def __init__(self) -> None:
        self._lookups: dict[tuple[str, int], asyncio.Future[Any]] = {}

    async def connect(self, host: str, port: int, timeout_sec: float) -> Stream:
        """Connects over TCP; a name is resolved anew each time. Raises PeerUnreachable naming the address."""
        where = f"{host}:{port}"
        try:
            async with asyncio.timeout(timeout_sec or None) as limit:
                return SocketStream(await self._connect_any(host, port, limit.when()), where)
        except TimeoutError as error:
            raise PeerUnreachable(f"no connection to {where} within {timeout_sec:g} s") from error
        except OSError as error:
            reason = reason_of(error)
            raise PeerUnreachable(f"cannot connect to {where}: {reason}", connecting_hint(error)) from error

    async def _connect_any(self, host: str, port: int, end_sec: float | None) -> socket.socket:
        """The first address that answers. None may use up the time of those after it."""
        loop = asyncio.get_running_loop()
        infos = await self._addresses_of(host, port)
        failure: OSError = OSError(errno.EADDRNOTAVAIL, "no address")
        for n_left, (family, kind, proto, _, address) in zip(range(len(infos), 0, -1), infos, strict=True):
            share = end_sec if end_sec is None else loop.time() + (end_sec - loop.time()) / n_left
            sock = socket.socket(family, kind | socket.SOCK_CLOEXEC, proto)
            sock.setblocking(False)
            try:
                async with asyncio.timeout_at(share):
                    await loop.sock_connect(sock, address)
                return sock
            except OSError as error:  # a TimeoutError too
                sock.close()
                failure = error
            except BaseException:
                sock.close()
                raise
        raise failure

    async def _addresses_of(self, host: str, port: int) -> Sequence[AddressInfo]:
        """Asks the resolver, which may take its time. All who ask for one name meanwhile wait for the same answer: one
        whose name server is dead costs one thread, and no other peer waits (the loop's own lookups share few threads).
        """
        with contextlib.suppress(socket.gaierror):
            return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        lookup = self._lookups.get((host, port))
        if lookup is None:
            lookup = self._lookups[host, port] = in_own_thread(
                "resolver", socket.getaddrinfo, host, port, type=socket.SOCK_STREAM
            )
            lookup.add_done_callback(lambda _: self._lookups.pop((host, port)))
        found: Sequence[AddressInfo] = await asyncio.shield(lookup)
        return found

    def listen(self, bind: str, port: int) -> SocketListener:
        """Listens on TCP; bind '' means all IPv4 and IPv6 addresses (one dual-stack socket), port 0 a free one.

        Raises StorageFailure naming the address when it is taken or not ours."""
        try:
            if bind:
                family, _, _, _, address = socket.getaddrinfo(bind, port, type=socket.SOCK_STREAM)[0]
                sock = socket.create_server(address[:2], family=family, backlog=LISTEN_BACKLOG)
            elif socket.has_dualstack_ipv6():
                sock = socket.create_server(
                    ("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=LISTEN_BACKLOG
                )
            else:
                sock = socket.create_server(("", port), backlog=LISTEN_BACKLOG)
        except OSError as error:
            raise _cannot_listen(bind, port, error) from error
        return SocketListener(sock)


def check_listen(bind: str, port: int, *, may_be_taken: bool = False) -> None:
    """Raises StorageFailure as `listen` would, and listens to nobody. may_be_taken: a port in use is fine."""
    try:
        family, _, _, _, address = socket.getaddrinfo(bind or "0.0.0.0", port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as sock:
            # Also keeps this from being in the way of a daemon that starts now.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
    except OSError as error:
        if not (may_be_taken and error.errno == errno.EADDRINUSE):
            raise _cannot_listen(bind, port, error) from error


def _cannot_listen(bind: str, port: int, error: OSError) -> StorageFailure:
    hint = "is another server using the port? choose another with -p, another address with -bind"
    return StorageFailure(f"cannot listen on {bind or '*'}:{port}: {reason_of(error)}", hint)


def reason_of(error: OSError) -> str:
    """Why listening or connecting failed. Python's own text may repeat the address; an unknown name has no errno."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
