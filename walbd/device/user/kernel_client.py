"""A device's place in the kernel: attach, detach, a new connection whenever the old one is lost (docs/device.md)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

from walbd.device.attachment import Attachment, AttachmentFolder
from walbd.device.kernel_nbd import KernelNbd, Link, node_of
from walbd.device.user.handshake import TRANSMISSION_FLAGS
from walbd.device.user.kernel_connection import KernelConnection
from walbd.device.user.messages import error_line, info_line, warning_line
from walbd.model.error import BadState, StorageFailure, WalbError
from walbd.world.world import World

IDENTIFIER_RANDOM_BYTES = 8
FIRST_RETRY_SEC, MAX_RETRY_SEC = 0.1, 10.0
# How long the kernel may take to notice that the connection of a killed server is dead.
MAX_REFUSALS = 50
MakeConnection = Callable[[Callable[[KernelConnection], None]], KernelConnection]


class KernelClient:
    """Attaches one device. `make_connection(on_lost)` serves the kernel, size_bytes tells the present size."""

    def __init__(
        self,
        folder: AttachmentFolder,
        kernel: KernelNbd,
        make_connection: MakeConnection,
        size_bytes: Callable[[], int],
        world: World,
    ) -> None:
        self._folder = folder
        self._kernel = kernel
        self._make_connection = make_connection
        self._size_bytes = size_bytes
        self._world = world
        self._lock = asyncio.Lock()
        self._attachment: Attachment | None = None
        self._connection: KernelConnection | None = None
        self._index = -1
        self._relinking: asyncio.Task[None] | None = None
        self.numbers = 0, 0

    @property
    def is_attached(self) -> bool:
        """True as long as there is a record."""
        return self._attachment is not None

    @property
    def node(self) -> str:
        """/dev/nbdN, '' when the device is not attached."""
        return node_of(self._index) if self._index >= 0 else ""

    # ---- operations ----

    async def attach(self, index: int | None, timeout_sec: int, dead_sec: int) -> None:
        """Makes the device a block device of the kernel, durably. Raises BadState when it is one, or the node asked for
        is in use."""
        async with self._lock:
            if self._attachment is not None:
                raise BadState(f"{self._folder.name} is attached already {self.node}".rstrip(), "detach it first")
            self._folder.check_node()
            identifier = f"walb {self._folder.name} {self._world.random_bytes(IDENTIFIER_RANDOM_BYTES).hex()}"
            attachment = Attachment(Link(identifier, timeout_sec, dead_sec), index)
            await self._world.run(self._folder.save, attachment)
            try:
                await self._link(attachment, may_connect=True)
            except BaseException:
                await self._undo()
                raise
            info_line(f"attached: {self.node}")

    async def _undo(self) -> None:
        self._forget()
        with contextlib.suppress(WalbError):
            await self._world.run(self._folder.detach, self._kernel, True)

    def _forget(self) -> None:
        self._attachment = self._connection = None
        self._set_index(-1, (0, 0))

    def _set_index(self, index: int, numbers: tuple[int, int]) -> None:
        self._index, self.numbers = index, numbers

    async def detach(self, is_forced: bool) -> None:
        """Takes it away from the kernel. Raises BadState when it is not attached, or in use and is_forced is False."""
        async with self._lock:
            # What the kernel's good-bye ends is no lost connection.
            connection, self._connection = self._connection, None
            try:
                await self._world.run(self._folder.detach, self._kernel, is_forced)
            except BaseException:
                self._connection = connection
                if connection is not None and connection.is_lost:
                    self._lost(connection)
                raise
            self._forget()
            info_line("detached")

    async def restore(self) -> None:
        """Attaches again what the record says; called at start, before other clients are served. A failure is reported
        and does not keep the device from being served."""
        async with self._lock:
            try:
                self._attachment = await self._world.run(self._folder.load)
                if self._attachment is not None:
                    await self._link(self._attachment, may_connect=True)
                    info_line(f"attached again: {self.node}")
            except WalbError as error:
                error_line(f"not attached to the kernel: {error}")
                await self._after_failed_restore()

    async def _after_failed_restore(self) -> None:
        """The kernel's device waits on: try again. Or it is gone: the link may lead to a device of someone else now."""
        attachment = self._attachment
        if attachment and await self._world.run(self._kernel.find, attachment.link.identifier) is not None:
            self._relinking = asyncio.ensure_future(self._relink())
        else:
            await self._world.run(self._folder.remove_link)

    async def resize(self) -> None:
        """Tells the kernel the present size."""
        async with self._lock:
            if self._attachment is not None and self.node:
                await self._world.run(self._kernel.resize, self._index, self._attachment.link, self._size_bytes())

    def stop(self) -> None:
        """The server ends; the kernel's device waits for the next one."""
        self._connection = None
        if self._relinking is not None:
            self._relinking.cancel()

    # ---- connections ----

    async def _link(self, attachment: Attachment, *, may_connect: bool) -> None:
        """Gives the kernel a connection: a new one for its device of that identifier, else a new device."""
        index = await self._world.run(self._kernel.find, attachment.link.identifier)
        if index is None and not may_connect:
            raise BadState("another program has disconnected the device", f"wdevc detach {self._folder.name}")
        for _ in range(MAX_REFUSALS):
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            with ours, theirs:
                index = await self._give(attachment, index, theirs)
                theirs.close()
                if _is_taken(ours):
                    await self._serve(ours.dup())
                    break
            await self._world.sleep(FIRST_RETRY_SEC)
        else:
            raise StorageFailure(f"the kernel takes no new connection for {node_of(index or 0)}")
        self._attachment = attachment
        self._set_index(index, await self._world.run(self._kernel.numbers, index))
        await self._world.run(self._folder.make_link, index)

    async def _give(self, attachment: Attachment, index: int | None, sock: socket.socket) -> int:
        link, size_bytes = attachment.link, self._size_bytes()
        if index is not None:
            await self._world.run(self._kernel.reconnect, index, link, size_bytes, sock)
            return index
        return await self._world.run(self._kernel.connect, attachment.index, link, size_bytes, TRANSMISSION_FLAGS, sock)

    async def _serve(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        _, self._connection = await loop.create_unix_connection(lambda: self._make_connection(self._lost), sock=sock)

    def _lost(self, connection: KernelConnection) -> None:
        if connection is not self._connection:
            return
        self._connection = None
        warning_line(f"the kernel closed its connection to {self.node}")
        self._relinking = asyncio.ensure_future(self._relink())

    async def _relink(self) -> None:
        """After a lost connection: the kernel gave up waiting for an answer, or someone disconnected the device."""
        delay_sec = FIRST_RETRY_SEC
        while True:
            async with self._lock:
                if self._attachment is None or self._connection is not None:
                    return
                try:
                    await self._link(self._attachment, may_connect=False)
                    info_line(f"attached again: {self.node}")
                    return
                except BadState as error:
                    error_line(f"not attached to the kernel any more: {error}")
                    self._set_index(-1, (0, 0))
                    await self._world.run(self._folder.remove_link)
                    return
                except WalbError as error:
                    error_line(f"cannot reconnect {self.node}: {error}")
            await self._world.sleep(delay_sec)
            delay_sec = min(2 * delay_sec, MAX_RETRY_SEC)


def _is_taken(sock: socket.socket) -> bool:
    """False when nobody holds the other end."""
    try:
        return bool(sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except BlockingIOError:
        return True
