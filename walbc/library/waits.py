"""Waiting for states, actions and gids (python-library.md section 10). Each look is a question to the server; a failing
one ends the wait. Limits are seconds of a clock that never goes back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from walbc.library.connection import Volume
from walbc.library.constants import K_ARCHIVE, K_PROXY, K_STORAGE, SHORT_TIMEOUT_SEC, Lbs, Mebi
from walbc.library.failure import ControlError
from walbc.library.queries import Queries
from walbc.library.servers import AnyServer, verify_server_kind
from walbc.library.states import (
    aaApply,
    aaMerge,
    aArchived,
    aaReplSync,
    aaResize,
    aaRestore,
    aDuringReplicate,
    aDuringStop,
    aStopped,
    pDuringStop,
    pStarted,
    pStopped,
    sDuringStopForStandby,
    sDuringStopForTarget,
    sStandby,
    sStopped,
    sSyncReady,
    sTarget,
    stFullSync,
    stHashSync,
)
from walbc.library.verify import verify_int, verify_type, verify_u64

POLL_SEC = 0.3
PROGRESS_POLL_SEC = 1.0
STATE_CHANGE_SEC = 10
# A server gives a graceful or forced stop up after 60 s and leaves the state as it was.
STOP_GIVEN_UP_SEC = 70

States = str | Sequence[str]


class Waits(Queries):
    """Everything that waits."""

    def _limit(self, timeoutS: int | None) -> int:
        verify_u64(timeoutS, allowNone=True)
        return self.default_timeout_sec if timeoutS is None else timeoutS

    def _poll(self, is_done: Callable[[], bool], limit_sec: float, poll_sec: float = POLL_SEC) -> bool:
        """Looks until it is done; at least once. False after the limit."""
        end = self._monotonic() + limit_sec
        while not is_done():
            if self._monotonic() >= end:
                return False
            self._sleep(poll_sec)
        return True

    # ---- states ----

    def _wait_for_state_cond(
        self, s: AnyServer, vol: str, is_wanted: Callable[[str], bool], description: str, timeoutS: int
    ) -> None:
        state = ""

        def look() -> bool:
            nonlocal state
            state = self._state(s, vol)
            return is_wanted(state)

        if not self._poll(look, timeoutS):
            raise ControlError("wait_for_state_cond", s.name, vol, description, self._shown(s, state))

    def _names(self, states: States) -> States:
        """Servers' own names of states; a single string stays one (its parts count, as ever)."""
        return self._native(states) if isinstance(states, str) else list(map(self._native, states))

    def _wait_for_state(self, s: AnyServer, vol: Volume, stateL: States, timeoutS: int = STATE_CHANGE_SEC) -> None:
        """Until the state is one of stateL."""
        wanted = self._names(stateL)
        self._wait_for_state_cond(s, self._vol(s, vol), lambda state: state in wanted, f"is in {stateL}", timeoutS)

    def _wait_for_not_state(self, s: AnyServer, vol: Volume, stateL: States, timeoutS: int = STATE_CHANGE_SEC) -> None:
        """Until the state is none of stateL."""
        left, name = self._names(stateL), self._vol(s, vol)
        self._wait_for_state_cond(s, name, lambda state: state not in left, f"is not in {stateL}", timeoutS)

    def _wait_for_state_change(
        self, s: AnyServer, vol: Volume, tmpStateL: States, goalStateL: States, timeoutS: int = STATE_CHANGE_SEC
    ) -> None:
        """Until the state is none of tmpStateL; it must be in goalStateL then."""
        self._wait_for_not_state(s, vol, tmpStateL, timeoutS)
        self._verify_goal(s, self._vol(s, vol), tmpStateL, goalStateL)

    def _verify_goal(self, s: AnyServer, vol: str, tmpStateL: States, goalStateL: States) -> None:
        state = self._state(s, vol)
        if state not in self._names(goalStateL):
            shown = self._shown(s, state)
            raise ControlError("wait_for_state_change:bad goal", s.name, vol, tmpStateL, goalStateL, shown)

    def wait_for_stopped(self, s: AnyServer, vol: Volume, prevSt: str | None = None) -> None:
        """Until a volume is stopped. prevSt: the state before the stop, which a storage needs.

        Afterwards: Stopped, or SyncReady for a storage that was Standby or in a backup. Raises ControlError when the
        server has given the stop up."""
        vol = self._vol(s, vol)
        verify_type(prevSt, str, allowNone=True)
        if s.kind == K_STORAGE:
            if prevSt is None:
                raise ControlError("wait_for_stopped: prevSt not specified", s.name, vol)
            if self._native(prevSt) in (sStandby, stFullSync, stHashSync):
                during = [*sDuringStopForStandby, stFullSync, stHashSync]
                self._wait_while_stopping(s, vol, during, sStandby, sSyncReady)
            else:
                self._wait_while_stopping(s, vol, sDuringStopForTarget, sTarget, sStopped)
        elif s.kind == K_PROXY:
            self._wait_while_stopping(s, vol, pDuringStop, pStarted, pStopped)
        else:
            self._wait_while_stopping(s, vol, aDuringStop, aArchived, aStopped)

    def _wait_while_stopping(self, s: AnyServer, vol: str, during: list[str], steady: str, goal: str) -> None:
        begin = self._monotonic()

        def is_over(state: str) -> bool:
            if state == steady and self._monotonic() - begin >= STOP_GIVEN_UP_SEC:
                raise ControlError("wait_for_stopped: work is still running, the server gave up", s.name, vol, state)
            return state not in during

        self._wait_for_state_cond(s, vol, is_over, f"is not in {during}", self.default_timeout_sec)
        self._verify_goal(s, vol, during, [goal])

    # ---- actions ----

    def _wait_for_no_action(self, s: AnyServer, vol: Volume, action: str, timeoutS: int | None = None) -> None:
        """Until an action does not run."""
        vol = self._vol(s, vol)
        if not self._poll(lambda: self.get_num_action(s, vol, action) == 0, self._limit(timeoutS)):
            raise ControlError("wait_for_no_action", s.name, vol, action)

    def wait_for_restored(self, ax: AnyServer, vol: Volume, gid: int, timeoutS: int | None = None) -> None:
        """Until the archive has made the restored volume of a gid. Raises ControlError if it is not there then."""
        verify_u64(gid)
        vol = self._vol(ax, vol)
        self._wait_for_no_action(ax, vol, aaRestore, timeoutS)
        restored = self.get_restored(ax, vol)
        if gid not in restored:
            raise ControlError("wait_for_restored:failed", ax.name, vol, gid, restored)

    def _wait_for_applied(self, ax: AnyServer, vol: str, gid: int, timeoutS: int | None) -> None:
        self._wait_for_no_action(ax, vol, aaApply, timeoutS)
        if self.get_base(ax, vol).is_applying():
            raise ControlError("wait_for_applied:failed", ax.name, vol, gid)
        gids = self.get_restorable_gid(ax, vol)
        if not gids or gids[0] < gid:
            raise ControlError("wait_for_applied:failed", ax.name, vol, gid, gids)

    def _wait_for_merged(self, ax: AnyServer, vol: str, gidB: int, gidE: int, timeoutS: int | None) -> None:
        self._wait_for_no_action(ax, vol, aaMerge, timeoutS)
        if not self.exists_diff(ax, vol, gidB, gidE):
            raise ControlError("wait_for_merged:failed", ax.name, vol, gidB, gidE)

    def _wait_for_replicated(
        self, aSrc: AnyServer, vol: Volume, aDst: AnyServer, gid: int, timeoutS: int | None = None
    ) -> None:
        """Until the destination has reached a gid. Raises ControlError if it has not when the replication is over."""
        for ax in (aSrc, aDst):
            verify_server_kind(ax, [K_ARCHIVE])
        verify_u64(gid)
        vol = self._vol(aSrc, vol)
        limit_sec = self._limit(timeoutS)
        self._wait_for_no_action(aSrc, vol, aaReplSync, limit_sec)
        self._wait_for_not_state(aDst, vol, aDuringReplicate, limit_sec)
        reached = self._reached_gid(aDst, vol)
        if reached < gid:
            raise ControlError("wait_for_replicated:replicate failed", aSrc.name, vol, aDst.name, gid, reached)

    def _reached_gid(self, ax: AnyServer, vol: str) -> int:
        """The gid an archive's copy has reached, by its last wdiff, or by its base image when there is none."""
        diffs = self.get_applicable_diff_list(ax, vol)
        return diffs[-1].E.gidB if diffs else self.get_base(ax, vol).B.gidB

    def _wait_for_resize(self, ax: AnyServer, vol: str, sizeMb: int, timeoutS: int | None) -> None:
        self._wait_for_no_action(ax, vol, aaResize, timeoutS)
        size_mb = self._get_vol_size_mb(ax, vol)
        if size_mb == sizeMb:
            return
        raise ControlError("wait_for_resize:failed", ax.name, vol, sizeMb, size_mb)

    # ---- gids ----

    def _wait_for_gid(
        self, ax: AnyServer, vol: str, gid: int, kind: str, ask: Callable[[], list[int]], timeoutS: float, there: bool
    ) -> None:
        gids: list[int] = []

        def look() -> bool:
            nonlocal gids
            gids = ask()
            return (gid in gids) == there

        if not self._poll(look, timeoutS):
            raise ControlError("wait_for_gid: timeout", ax.name, vol, gid, kind, gids)

    def wait_for_restorable(self, ax: AnyServer, vol: Volume, gid: int, timeoutS: int | None = None) -> None:
        """Until a snapshot can be restored."""
        verify_u64(gid)
        name = self._vol(ax, vol)
        limit_sec = self._limit(timeoutS)
        self._wait_for_gid(
            ax, name, gid, "restorable", lambda: self.get_restorable_gid(ax, name), limit_sec, there=True
        )

    def _wait_for_not_restored(self, ax: AnyServer, vol: str, gid: int) -> None:
        def ask() -> list[int]:
            return self.get_restored(ax, vol)

        self._wait_for_gid(ax, vol, gid, "restored", ask, SHORT_TIMEOUT_SEC, there=False)

    def _wait_for_not_cold(self, ax: AnyServer, vol: str, gid: int) -> None:
        def ask() -> list[int]:
            return self.get_cold(ax, vol)

        self._wait_for_gid(ax, vol, gid, "cold", ask, SHORT_TIMEOUT_SEC, there=False)

    def verify_not_restorable(self, ax: AnyServer, vol: Volume, gid: int, waitS: int, msg: str) -> None:
        """Raises ControlError(msg, ...) if a gid becomes restorable within waitS seconds. That the server does not
        answer counts as not restorable, too."""
        verify_int(waitS)
        verify_type(msg, str)
        name = self._vol(ax, vol)
        try:
            self.wait_for_restorable(ax, name, gid, waitS)
        except Exception:
            return
        raise ControlError(msg, "gid must not be restorable", ax.name, name, gid)

    def monitor_progress(self, ax: AnyServer, vol: Volume, timeoutS: int | None = None) -> None:
        """Prints how much of a full copy has come, each second until it is over."""
        vol = self._vol(ax, vol)
        limit_sec = self._limit(timeoutS)
        size_lb = self.get_vol_size_lb(ax, vol)

        def is_over() -> bool:
            progress_lb = self.get_progress_lb(ax, vol)
            share = progress_lb / size_lb if size_lb else 0.0
            print(f"{progress_lb * Lbs // Mebi} / {size_lb * Lbs // Mebi} MiB {share:.3f}", flush=True)
            return progress_lb == 0

        if not self._poll(is_over, limit_sec, PROGRESS_POLL_SEC):
            raise ControlError("monitor_progress:timeout", ax.name, vol)
