"""Tasks that must go on as long as the daemon does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from walbd.model.error import WalbError
from walbd.server.log import defect_text
from walbd.server.runtime import Runtime

LEAST_PAUSE_SEC = 1.0
"""After a failure: what fails at once must not fill the processor."""


async def repeat(runtime: Runtime, what: str, step: Callable[[], Awaitable[object]], period_sec: float) -> None:
    """Does a step, then again each period_sec, until cancelled. A step that fails is logged, a defect as well: it must
    cost one step, not everything that would have come after it."""
    while True:
        pause_sec = period_sec
        try:
            await step()
        except WalbError as error:
            runtime.log.warning(what, error)
            pause_sec = max(pause_sec, LEAST_PAUSE_SEC)
        except Exception as error:
            runtime.log.error(what, defect_text(error))
            pause_sec = max(pause_sec, LEAST_PAUSE_SEC)
        await runtime.world.sleep(pause_sec)
