"""The kernel's NBD client as a connection: it does not negotiate, and how it ends matters."""

from __future__ import annotations

from collections.abc import Callable

from walbd.device.user.chunk import ChunkPool
from walbd.device.user.connection import Connection
from walbd.device.user.engine import Engine
from walbd.device.user.handshake import Export
from walbd.device.user.reader import Reader


class KernelConnection(Connection):
    """Served from the first byte on. `on_lost` is called when everything it carried is answered or dropped: a request
    the kernel sends again on its next connection then comes after all it sent on this one."""

    def __init__(
        self,
        engine: Engine,
        reader: Reader,
        pool: ChunkPool,
        export: Callable[[], Export],
        clients: set[Connection],
        on_lost: Callable[[KernelConnection], None],
    ) -> None:
        super().__init__(engine, reader, pool, export, clients)
        self._handshake = None
        self.is_lost = False
        self._on_lost = on_lost

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.is_lost = True
        self._on_lost(self)
