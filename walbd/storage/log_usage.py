"""How fast the log of a device fills: what `get overflow-eta` answers from."""

from __future__ import annotations

from collections import deque
from operator import itemgetter

WINDOW_SEC = 60.0
STEP_SEC = 1.0
# Checkpoints make the usage a saw-tooth with a period of about ten seconds: what counts is how its low points rise.
TOOTH_SEC = 10.0


class LogUsage:
    """Remembers the usage (pb) of the last minute, at most once a second."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def note(self, now_sec: float, usage_pb: int) -> None:
        """A look at the device."""
        samples = self._samples
        while samples and samples[0][0] < now_sec - WINDOW_SEC:
            samples.popleft()
        if not samples or now_sec - samples[-1][0] >= STEP_SEC:
            samples.append((now_sec, usage_pb))

    def seconds_left(self, now_sec: float, usage_pb: int, capacity_pb: int) -> float | None:
        """Seconds until the log overflows if the usage goes on as it did in the last minute; None while it does not
        grow, or is not known long enough. A burst that is shipped or written back soon is no growth."""
        samples = [sample for sample in self._samples if sample[0] >= now_sec - WINDOW_SEC]
        samples.append((now_sec, usage_pb))
        begin_sec = samples[0][0]
        if now_sec - begin_sec < 2 * TOOTH_SEC:
            return None
        first_sec, first_pb = min((each for each in samples if each[0] <= begin_sec + TOOTH_SEC), key=itemgetter(1))
        last_sec, last_pb = min((each for each in samples if each[0] >= now_sec - TOOTH_SEC), key=itemgetter(1))
        if last_pb <= first_pb:
            return None
        return max(0.0, (capacity_pb - usage_pb) * (last_sec - first_sec) / (last_pb - first_pb))
