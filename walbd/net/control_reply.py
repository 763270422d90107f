"""What a client makes of the replies to a control command, without I/O."""

from __future__ import annotations

from dataclasses import dataclass, field

from walbd.net.frame import Frame, FrameType
from walbd.net.messages import Progress, Result


@dataclass(frozen=True, slots=True)
class Outcome:
    """`is_done`: the command has been carried out; else it was only accepted and goes on. `strings`: what was told when
    it was accepted, then what it answered. `server_id`: who answered."""

    is_done: bool
    strings: list[str]
    server_id: str = field(default="", compare=False)


class ReplyReader:
    """Follows one command's replies."""

    def __init__(self, wait: bool, peer: str) -> None:
        self._wait = wait
        self._peer = peer
        self._is_accepted = False
        self._told: list[str] = []

    def expected(self) -> tuple[FrameType, ...]:
        """Types that may come next."""
        if self._is_accepted:
            return FrameType.OK, FrameType.PROGRESS
        return FrameType.OK, FrameType.ACCEPT

    def take(self, frame: Frame) -> Outcome | Progress | None:
        """The outcome when the conversation is over, a progress report, or None to go on. Raises Corrupted."""
        match frame.type:
            case FrameType.OK:
                return Outcome(True, self._told + self._strings(frame))
            case FrameType.PROGRESS:
                return Progress.decode(frame.payload, f"progress from {self._peer}")
            case _:
                self._is_accepted = True
                self._told = self._strings(frame)
                return None if self._wait else Outcome(False, self._told)

    def _strings(self, frame: Frame) -> list[str]:
        return list(Result.decode(frame.payload, f"answer of {self._peer}").strings)
