"""Which proxies can be used, in order of priority (servers.md section 3.10).

A proxy that fails a transfer is unavailable at once (W46); every proxy is asked again each CHECK_SEC, all of them side
by side, and used again from the next transfer on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from walbd.model.address import Address
from walbd.model.error import WalbError
from walbd.net.connection import Timing
from walbd.net.control import call
from walbd.net.handshake import Identity
from walbd.net.messages import PeerKind
from walbd.server.runtime import Runtime

CHECK_SEC = 10.0
CHECK_TIMEOUT_SEC = 3.0


@dataclass
class Proxy:
    """One proxy and what was last learned of it."""

    address: Address
    is_available: bool = True
    next_check_sec: float = 0.0


class ProxyList:
    """The proxies in command-line order. All are assumed to be available at start."""

    def __init__(self, runtime: Runtime, me: Identity, addresses: Sequence[Address]) -> None:
        self._runtime = runtime
        self._me = me
        due_sec = runtime.world.monotonic() + CHECK_SEC
        self.proxies = [Proxy(address, next_check_sec=due_sec) for address in addresses]

    def available(self) -> list[Proxy]:
        """Those to try, the most wanted first."""
        return [proxy for proxy in self.proxies if proxy.is_available]

    def mark_failed(self, proxy: Proxy, reason: WalbError) -> None:
        """A transfer could not reach it: the next ones try others until a check succeeds."""
        self._runtime.log.warning("checkAvailability", proxy.address, reason)
        proxy.is_available = False

    def seconds_to_check(self, proxy: Proxy) -> int:
        """For `status`."""
        return max(0, round(proxy.next_check_sec - self._runtime.world.monotonic()))

    async def check_all(self) -> None:
        """Asks every proxy now."""
        await asyncio.gather(*(self._check(proxy) for proxy in self.proxies))

    async def run(self) -> None:
        """Checks for ever."""
        while True:
            await self._runtime.world.sleep(CHECK_SEC)
            await self.check_all()

    async def _check(self, proxy: Proxy) -> None:
        timing = Timing(CHECK_TIMEOUT_SEC)
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_SEC):
                outcome = await call(self._runtime.world, proxy.address, "get", ["host-type"], self._me, timing=timing)
            proxy.is_available = outcome.strings == [PeerKind.PROXY]
            if not proxy.is_available:
                self._runtime.log.warning("checkAvailability", proxy.address, "is no walb-proxy")
        except (WalbError, TimeoutError) as error:
            proxy.is_available = False
            self._runtime.log.warning("checkAvailability", proxy.address, error or "no answer in time")
        proxy.next_check_sec = self._runtime.world.monotonic() + CHECK_SEC
