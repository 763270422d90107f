"""How far the archive is behind each volume: `get ts-delta` (servers.md section 3.10)."""

from __future__ import annotations

from dataclasses import dataclass

from walbd.model.error import WalbError
from walbd.model.timetext import parse_pretty, pretty
from walbd.net.control import call
from walbd.net.messages import PeerKind
from walbd.server.periodic import repeat
from walbd.storage.context import Context
from walbd.storage.states import TARGET

FIRST_SEC = 5.0


@dataclass(frozen=True)
class Place:
    """A snapshot and its time, seconds since the epoch."""

    gid: int
    timestamp: int


@dataclass(frozen=True)
class Lag:
    """The newest snapshot of a volume here, and at the archive (None: it has none)."""

    archive_id: str
    here: Place
    there: Place | None

    def line(self, volume: str) -> str:
        """As `get ts-delta` prints it."""
        kinds = f"kind:{PeerKind.STORAGE}\tdest_kind:{PeerKind.ARCHIVE}"
        head = f"name:{volume}\tdest:{self.archive_id}\t{kinds}\tgid:{self.here.gid}\tts:{pretty(self.here.timestamp)}"
        if self.there is None:
            return f"{head}\tdest_ts:\tdest_gid:\tts_delta:"
        delta_sec = self.here.timestamp - self.there.timestamp
        return f"{head}\tdest_gid:{self.there.gid}\tdest_ts:{pretty(self.there.timestamp)}\tts_delta:{delta_sec}"


class TsDeltas:
    """Asks the archive now and then. A round that fails keeps what the one before has learned."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lags: dict[str, Lag] = {}

    def lines(self) -> list[str]:
        """One per volume that was Target in the last round."""
        return [lag.line(name) for name, lag in self._lags.items()]

    async def run(self) -> None:
        """Asks for ever."""
        context = self._context
        await context.runtime.world.sleep(FIRST_SEC)
        what = f"ts-delta:{context.settings.archive}"
        await repeat(context.runtime, what, self.gather, context.settings.ts_delta_interval_sec)

    async def gather(self) -> None:
        """One round; asks for all volumes at once. Raises as `call`."""
        context = self._context
        if not any(volume.state == TARGET for volume in context.volumes):
            self._lags = {}
            return
        world, archive = context.runtime.world, context.settings.archive
        outcome = await call(world, archive, "get", ["latest-snap"], context.me, timing=context.timing)
        there = dict(filter(None, map(_place_of, outcome.strings)))
        lags = {}
        for volume in context.volumes:
            if volume.state == TARGET:
                newest = volume.records.newest
                here = Place(newest.gid, newest.timestamp)
                lags[volume.name] = Lag(outcome.server_id, here, there.get(volume.name))
        self._lags = lags


def _place_of(line: str) -> tuple[str, Place] | None:
    """Volume and place of a line of `get latest-snap`; None for what cannot be understood."""
    fields = dict(field.partition(":")[::2] for field in line.split("\t"))
    try:
        return fields["name"], Place(int(fields["gid"]), parse_pretty(fields["timestamp"]))
    except (KeyError, ValueError, WalbError):
        return None
