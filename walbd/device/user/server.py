"""One user-space walb device from start to end: own the devices, redo, serve, stop cleanly (wdev.md section 5)."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from walbd.device.attachment import AttachmentFolder
from walbd.device.control import CONTROL_SUFFIX, MAX_LINE_BYTES, NBD_SUFFIX
from walbd.device.kernel_device import NODE_FOLDER
from walbd.device.kernel_nbd import KernelNbd
from walbd.device.user.checkpoint import Checkpointer
from walbd.device.user.chunk import ChunkPool
from walbd.device.user.connection import Connection
from walbd.device.user.control_server import ControlServer
from walbd.device.user.device_files import DeviceFiles
from walbd.device.user.engine import Engine, OnFull
from walbd.device.user.handshake import Export
from walbd.device.user.io_path import become_io_flusher, keep_freed_memory, seek_garbage_rarely
from walbd.device.user.kernel_client import KernelClient
from walbd.device.user.kernel_connection import KernelConnection
from walbd.device.user.messages import error_line, info_line
from walbd.device.user.reader import Reader
from walbd.device.user.sockets import SocketFolder
from walbd.device.user.start import open_device
from walbd.model.address import Address
from walbd.model.error import StorageFailure, WalbError
from walbd.model.limits import LB_BYTES
from walbd.world.network import reason_of
from walbd.world.service_manager import ServiceManager
from walbd.world.world import World

# A peer of TCP is given up after two minutes without a sign of life.
DEAD_PEER_SEC = 120
TCP_OPTIONS = {
    socket.TCP_KEEPIDLE: 60,
    socket.TCP_KEEPINTVL: 15,
    socket.TCP_KEEPCNT: 4,
    socket.TCP_USER_TIMEOUT: DEAD_PEER_SEC * 1000,
}
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """What walb-device is told."""

    name: str
    ldev_path: str
    ddev_path: str
    socket_dir: Path
    on_full: OnFull = OnFull.OVERFLOW
    tcp: Address | None = None


class DeviceServer:
    """Serves one device until a signal or the control operation stop. `kernel` and `nodes` are for tests."""

    def __init__(
        self,
        options: ServerOptions,
        world: World,
        kernel: KernelNbd | None = None,
        nodes: Path = NODE_FOLDER,
        on_serving: Callable[[], None] = lambda: None,
        manager: ServiceManager | None = None,
    ) -> None:
        self._options = options
        self._world = world
        self._kernel = kernel or KernelNbd()
        self._nodes = nodes
        self._on_serving = on_serving
        self._manager = manager or ServiceManager()
        self._clients: set[Connection] = set()
        self._control: ControlServer | None = None
        self._stopping = asyncio.Event()

    async def run(self) -> int:
        """Serves; returns the exit status. Raises WalbError when the device cannot be started."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._stopping.set)
        # A terminal that closes takes no block device away.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        become_io_flusher()
        keep_freed_memory()
        seek_garbage_rarely()
        options = self._options
        sockets = SocketFolder(options.socket_dir, options.name)
        sockets.take()
        try:
            files = await self._world.run(DeviceFiles, options.ldev_path, options.ddev_path)
            try:
                return await self._serve(files, sockets)
            finally:
                files.close()
        finally:
            sockets.remove()
            if self._control is not None:
                self._control.close()  # who asked for the stop learns by this that the devices are free again

    async def _serve(self, files: DeviceFiles, sockets: SocketFolder) -> int:
        options = self._options
        sector, is_overflow = await self._world.run(open_device, files, options.name)
        engine = Engine(files, sector, self._world, is_overflow, options.on_full)
        checkpointer = Checkpointer(engine, files, sector, self._world)
        reader, pool = Reader(engine, self._world), ChunkPool()

        def export() -> Export:
            return Export(options.name, checkpointer.sector.device_size_lb * LB_BYTES, sector.pbs)

        def connection() -> asyncio.BaseProtocol:
            return Connection(engine, reader, pool, export, self._clients)

        kernel = KernelClient(
            AttachmentFolder(options.socket_dir, options.name, self._world.files, self._nodes),
            self._kernel,
            lambda on_lost: KernelConnection(engine, reader, pool, export, self._clients, on_lost),
            lambda: export().size_bytes,
            self._world,
        )
        control = ControlServer(
            options.name, engine, checkpointer, kernel, self._stopping.set, lambda: len(self._clients)
        )
        self._control = control
        engine.on_room = self._resume_clients
        try:
            await kernel.restore()
            loop = asyncio.get_running_loop()
            nbd_servers = [await loop.create_unix_server(connection, sock=sockets.listen(NBD_SUFFIX))]
            if options.tcp is not None:
                nbd_servers.append(await listen_tcp(connection, options.tcp))
            control_server = await asyncio.start_unix_server(
                control.serve, sock=sockets.listen(CONTROL_SUFFIX), limit=MAX_LINE_BYTES
            )
            info_line(f"serving {options.name}: {sector.device_size_lb} blocks, log {sector.uuid.hex()}")
            self._manager.ready(f"serving {options.name}: {sector.device_size_lb} blocks")
            self._on_serving()
        except BaseException:
            # The kernel may have its device again: what it asks for shall wait for the next server, not fail.
            kernel.stop()
            for client in list(self._clients):
                client.abort()
            engine.stop()
            raise
        await self._stopping.wait()
        self._manager.stopping("writing what is in memory", is_patient=False)
        for server in nbd_servers:
            server.close()
        control_server.close()
        kernel.stop()
        for client in list(self._clients):
            client.stop()
        status = await self._end(checkpointer)
        engine.stop()
        for client in list(self._clients):
            client.close()
        return status

    def _resume_clients(self) -> None:
        for client in list(self._clients):
            client.resume()

    async def _end(self, checkpointer: Checkpointer) -> int:
        try:
            await checkpointer.stop()
        except WalbError as error:
            error_line(f"stopped without a last checkpoint, the log will be redone at the next start: {error}")
            return 1
        info_line("stopped")
        return 0


async def listen_tcp(connection: Callable[[], asyncio.BaseProtocol], address: Address) -> asyncio.Server:
    """Serves NBD there. Raises StorageFailure."""
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(connection, address.host, address.port, start_serving=False)
        for sock in server.sockets:
            _notice_dead_peers(sock)
        await server.start_serving()
    except OSError as error:
        hint = "is the port in use, is the address one of this host?"
        raise StorageFailure(f"cannot listen on {address}: {reason_of(error)}", hint) from error
    return server


def _notice_dead_peers(listening: socket.socket) -> None:
    """Connections inherit this: one whose host has vanished ends and gives its place back, idle or not."""
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in TCP_OPTIONS.items():
        listening.setsockopt(socket.IPPROTO_TCP, option, value)
