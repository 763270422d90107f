"""A volume of a daemon: its state, running actions and how it is stopped (servers.md section 2.9)."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping

from walbd.model.error import BadState, Cancelled, WalbError
from walbd.server.actions import Actions
from walbd.server.command_rules import CommandRule, check_rule
from walbd.server.runtime import Runtime
from walbd.server.state_machine import CLEAR, StateMachine, StateTable
from walbd.server.stop_state import StopMode, StopState

STOP_LIMIT_SEC = 60
"""How long a graceful or forced stop waits for running work; stop empty waits without limit."""
FAILED = "Failed"


class PendingStop:
    """A stop that has been accepted and waits for running work to end."""

    def __init__(self, mode: StopMode) -> None:
        self.mode = mode
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_running = False


class Volume(ABC):
    """Base of the volumes of all daemons; used from the event loop only.

    Checking a rule and beginning a state change or action without an `await` between is atomic: there are no locks.
    """

    def __init__(
        self,
        name: str,
        runtime: Runtime,
        table: StateTable,
        rules: Mapping[str, CommandRule],
        actions: Iterable[str] = (),
        state: str = CLEAR,
    ) -> None:
        self.name = name
        self.runtime = runtime
        self.machine = StateMachine(table, state, runtime.changes.notify)
        self.actions = Actions(actions, runtime.world.now, runtime.changes.notify)
        self.failure: WalbError | None = None
        self._rules = rules
        self._stop: PendingStop | None = None

    @property
    def state(self) -> str:
        """The state as operators see it; `Failed` for a volume that could not be loaded."""
        return FAILED if self.failure else self.machine.state

    @property
    def stop_state(self) -> StopState:
        return self._stop.mode.stop_state if self._stop else StopState.NOT_STOPPING

    def is_cancelled(self) -> bool:
        """Long work asks this at each block or pack: a forced stop or shutdown ends it."""
        return self.stop_state is StopState.FORCE_STOPPING or self.runtime.shutdown.is_forced

    def mark_failed(self, reason: WalbError) -> None:
        """Takes the volume out of service: it stays listed and refuses commands with the reason and the remedy."""
        self.failure = reason
        self.runtime.log.error("volume failed", self.name, reason)

    def check_usable(self) -> None:
        """Raises BadState with the reason of a failed volume."""
        if self.failure:
            raise BadState(f"volume {self.name} failed: {self.failure.message}", self.failure.hint)

    def check(self, command: str) -> None:
        """Raises BadState unless the command is allowed now by the volume's rule table."""
        self.check_usable()
        check_rule(self._rules[command], self.name, self.machine.state, self.stop_state, self.actions)

    def request_stop(self, mode: StopMode) -> PendingStop:
        """First half of `stop`, before the answer. Raises BadState when the state cannot be stopped, or when a stop of
        the same or a higher mode waits already; that one is not touched. A higher mode takes over a waiting stop."""
        self.check("stop")
        pending = self._stop
        if pending is None:
            pending = self._stop = PendingStop(mode)
        elif mode > pending.mode:
            pending.mode = mode
        else:
            raise BadState(f"already under stopping:{self.name}", "use 'force' to end running work")
        self.runtime.changes.notify()
        return pending

    async def complete_stop(self, pending: PendingStop) -> None:
        """Second half: waits until the volume is quiet and stops it. Raises BadState after STOP_LIMIT_SEC, and
        Cancelled when a shutdown ends a stop empty; the volume is as before the stop then."""
        if pending.is_running:
            await asyncio.shield(pending.ended)
            return
        pending.is_running = True
        try:
            while not await self._try_stop(pending, pending.mode):
                pass
        except WalbError as error:
            self._end(pending, error)
            raise
        except BaseException:
            self._end(pending, Cancelled(f"stop of {self.name} was interrupted"))
            raise
        self._end(pending, None)

    def _end(self, pending: PendingStop, error: WalbError | None) -> None:
        self._stop = None
        if error is None:
            pending.ended.set_result(None)
        else:
            pending.ended.set_exception(error)
            pending.ended.exception()  # nobody else may be waiting for it
        self.runtime.changes.notify()

    async def _try_stop(self, pending: PendingStop, mode: StopMode) -> bool:
        """Stops in the given mode; False when a higher mode has taken over meanwhile."""
        if not await self._wait_quiet(pending, mode):
            return False
        during = self.stop_transition(mode)
        if during is None:
            return True
        with self.machine.begin(during) as change:
            if mode is StopMode.EMPTY and not await self._wait(pending, mode, self._is_drained):
                return False
            await self.end_service(mode)
            change.commit()
        return True

    async def _wait_quiet(self, pending: PendingStop, mode: StopMode) -> bool:
        if mode is StopMode.EMPTY:
            return await self._wait(pending, mode, lambda: self.machine.is_static)
        return await self._wait(pending, mode, lambda: self.machine.is_static and not self.actions.total)

    async def _wait(self, pending: PendingStop, mode: StopMode, condition: Callable[[], bool]) -> bool:
        """True when the condition holds, False when another mode took over."""
        shutdown = self.runtime.shutdown
        is_empty = mode is StopMode.EMPTY

        def is_over() -> bool:
            return condition() or pending.mode != mode or (is_empty and shutdown.is_requested)

        if not await self.runtime.changes.wait_for(is_over, None if is_empty else STOP_LIMIT_SEC):
            raise BadState(f"stop {self.name}:timeout:{STOP_LIMIT_SEC}", "work is still running; use 'force'")
        if pending.mode != mode:
            return False
        if not condition():
            raise Cancelled(f"stop empty of {self.name} was ended by a shutdown")
        return True

    def _is_drained(self) -> bool:
        return self.is_empty() and not self.actions.total

    def is_empty(self) -> bool:
        """What `stop empty` waits for; call runtime.changes.notify() when it becomes true."""
        return True

    @abstractmethod
    def stop_transition(self, mode: StopMode) -> str | None:
        """The dynamic state through which the current static state is stopped; None when nothing is left to stop
        (a forced stop has made a backup roll back)."""

    @abstractmethod
    async def end_service(self, mode: StopMode) -> None:
        """Within the transaction of the stop: ends monitoring, drops tasks, makes the new state durable."""
