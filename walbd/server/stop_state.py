"""The stop state of a volume and the modes of `stop` (servers.md section 2.9)."""

from __future__ import annotations

from enum import Enum, IntEnum

from walbd.model.error import InvalidArgument


class StopState(Enum):
    """The numbers appear in error texts."""

    NOT_STOPPING = 1
    WAITING_FOR_EMPTY = 2
    STOPPING = 4
    FORCE_STOPPING = 8

    @property
    def text(self) -> str:
        """As `status` prints it: NotStopping ..."""
        return "".join(word.capitalize() for word in self.name.split("_"))


class StopMode(IntEnum):
    """How a stop ends running work. A higher one may take over a lower one that still waits."""

    EMPTY = 0
    GRACEFUL = 1
    FORCE = 2

    @property
    def text(self) -> str:
        return self.name.lower()

    @property
    def stop_state(self) -> StopState:
        return _STOP_STATES[self]


_STOP_STATES = {
    StopMode.EMPTY: StopState.WAITING_FOR_EMPTY,
    StopMode.GRACEFUL: StopState.STOPPING,
    StopMode.FORCE: StopState.FORCE_STOPPING,
}


def parse_stop_mode(text: str, may_be_empty: bool) -> StopMode:
    """`graceful` (or nothing), `force` or `empty`; the first letter decides. Unlike the reference, which takes any
    other word for graceful, raises InvalidArgument for it."""
    modes = {mode.text[0]: mode for mode in StopMode}
    mode = modes.get(text[:1] or "g")
    if mode is None:
        raise InvalidArgument(f"bad stop mode:{text}", "use graceful, force or empty")
    if mode is StopMode.EMPTY and not may_be_empty:
        raise InvalidArgument("stop empty is not allowed.", "only a proxy can be emptied")
    return mode
