"""Whether a server of the wanted kind answers at an address (servers.md section 3.10)."""

from __future__ import annotations

import asyncio

from walbd.model.address import Address
from walbd.model.error import WalbError
from walbd.net.connection import Timing
from walbd.net.control import call
from walbd.net.handshake import Identity
from walbd.server.log import defect_text
from walbd.server.runtime import Runtime

CHECK_SEC = 10.0
"""How often those that are asked are asked."""
CHECK_TIMEOUT_SEC = 3.0


async def fault_of(runtime: Runtime, me: Identity, address: Address, kind: str) -> str:
    """Asks the server for its kind; returns what is wrong, nothing when it is there."""
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_SEC):
            outcome = await call(runtime.world, address, "get", ["host-type"], me, timing=Timing(CHECK_TIMEOUT_SEC))
    except TimeoutError:
        return "no answer in time"
    except WalbError as error:
        return str(error)
    except Exception as error:  # a defect must not end the checks: the peer would be unused for ever
        return defect_text(error)
    return "" if outcome.strings == [kind] else f"is no walb-{kind}"
