"""Which proxies can be used, in order of priority (servers.md section 3.10).

A proxy that fails a transfer is unavailable at once (W46); every proxy is asked again each CHECK_SEC, all of them side
by side, and used again from the next transfer on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from walbd.model.address import Address
from walbd.model.error import WalbError
from walbd.net.handshake import Identity
from walbd.net.messages import PeerKind
from walbd.server.peer_check import CHECK_SEC, fault_of
from walbd.server.periodic import repeat
from walbd.server.runtime import Runtime


@dataclass
class Proxy:
    """One proxy and what was last learned of it."""

    address: Address
    is_available: bool = True
    next_check_sec: float = 0.0
    failures: int = 0


class ProxyList:
    """The proxies in command-line order. All are assumed to be available at start. `on_return` is called when one is
    available again: what waits for a retry need not wait any longer (W24)."""

    def __init__(
        self, runtime: Runtime, me: Identity, addresses: Sequence[Address], on_return: Callable[[], object]
    ) -> None:
        self._runtime = runtime
        self._me = me
        self._on_return = on_return
        due_sec = runtime.world.monotonic() + CHECK_SEC
        self.proxies = [Proxy(address, next_check_sec=due_sec) for address in addresses]

    def available(self) -> list[Proxy]:
        """Those to try, the most wanted first."""
        return [proxy for proxy in self.proxies if proxy.is_available]

    def mark_failed(self, proxy: Proxy, reason: WalbError) -> None:
        """A transfer could not reach it: the next ones try others until a check succeeds."""
        self._runtime.log.warning("checkAvailability", proxy.address, reason)
        proxy.is_available = False
        proxy.failures += 1

    def seconds_to_check(self, proxy: Proxy) -> int:
        """For `status`."""
        return max(0, round(proxy.next_check_sec - self._runtime.world.monotonic()))

    async def check_all(self) -> None:
        """Asks every proxy now."""
        await asyncio.gather(*(self._check(proxy) for proxy in self.proxies))

    async def run(self) -> None:
        """Checks for ever."""
        await self._runtime.world.sleep(CHECK_SEC)
        await repeat(self._runtime, "checkAvailability", self.check_all, CHECK_SEC)

    async def _check(self, proxy: Proxy) -> None:
        failures = proxy.failures
        fault = await fault_of(self._runtime, self._me, proxy.address, PeerKind.PROXY)
        proxy.next_check_sec = self._runtime.world.monotonic() + CHECK_SEC
        if failures != proxy.failures:
            return  # a transfer knows better, and later
        if fault:
            self._runtime.log.warning("checkAvailability", proxy.address, fault)
        was_available, proxy.is_available = proxy.is_available, not fault
        if proxy.is_available and not was_available:
            self._on_return()
