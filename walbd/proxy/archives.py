"""Which archives cannot be reached at present.

One that a transfer could not reach is not tried again by the queues of any volume until it answers: a dead host takes
its time to be given up, and the workers are few. It is asked each CHECK_SEC beside them, and what waits for it runs at
once when it is back (W24).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Set

from walbd.model.address import Address
from walbd.model.error import PeerUnreachable
from walbd.net.handshake import Identity
from walbd.net.messages import PeerKind
from walbd.server.peer_check import CHECK_SEC, fault_of
from walbd.server.periodic import repeat
from walbd.server.runtime import Runtime


class LostArchives:
    """The addresses that did not answer. Those that `is_needed` has no use for any more are forgotten, `on_return` is
    called with one that answers again."""

    def __init__(
        self,
        runtime: Runtime,
        me: Identity,
        is_needed: Callable[[Address], bool],
        on_return: Callable[[Address], object],
    ) -> None:
        self._runtime = runtime
        self._me = me
        self._is_needed = is_needed
        self._on_return = on_return
        self._lost: set[Address] = set()

    @property
    def addresses(self) -> Set[Address]:
        """Those that are lost now."""
        return self._lost

    def check_reachable(self, address: Address) -> None:
        """Raises PeerUnreachable for a lost one."""
        if address in self._lost:
            raise PeerUnreachable(f"archive {address} does not answer", "sending goes on when it does, or after 'kick'")

    def add(self, address: Address) -> None:
        """A transfer could not reach it."""
        self._lost.add(address)

    def forget(self, address: Address) -> None:
        """Lets it be tried at once."""
        self._lost.discard(address)

    async def run(self) -> None:
        """Asks for ever."""
        await repeat(self._runtime, "checkAvailability", self.check_all, CHECK_SEC)

    async def check_all(self) -> None:
        """Asks those that are lost now."""
        self._lost = set(filter(self._is_needed, self._lost))
        await asyncio.gather(*(self._ask(address) for address in list(self._lost)))

    async def _ask(self, address: Address) -> None:
        if not await fault_of(self._runtime, self._me, address, PeerKind.ARCHIVE) and address in self._lost:
            self._lost.discard(address)
            self._on_return(address)
