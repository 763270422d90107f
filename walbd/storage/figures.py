"""`get` targets that tell how a volume is doing: lag, log that is left, progress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from walbd.model.limits import LB_BYTES
from walbd.server.commands import GetHandler
from walbd.server.parameters import Parameters
from walbd.server.tasks import Slots
from walbd.storage.context import Context
from walbd.storage.ts_delta import TsDeltas
from walbd.storage.volume import StorageVolume

NEVER = "never"


class StorageFigures:
    """Handlers."""

    def __init__(self, context: Context, ts_deltas: TsDeltas) -> None:
        self._context = context
        self._ts_deltas = ts_deltas

    def targets(self) -> Mapping[str, GetHandler]:
        """By name."""
        return {
            "overflow-eta": self._get_overflow_eta,
            "progress": self._get_progress,
            "ts-delta": self._get_ts_delta,
        }

    def _volume(self, params: list[str]) -> StorageVolume:
        volume = self._context.volumes.get(Parameters(params, 1, 1).volume())
        volume.check_usable()
        return volume

    async def _get_overflow_eta(self, params: list[str]) -> Sequence[str]:
        """Whole seconds until the log overflows at the rate of the last minute, or `never`."""
        volume = self._volume(params)
        info = await volume.device().info()
        if info.is_overflow:
            return ["0"]
        now = self._context.runtime.world.monotonic()
        left_sec = volume.monitor.usage.seconds_left(now, info.log_usage_pb, info.ring_size_pb)
        return [NEVER if left_sec is None else str(int(left_sec))]

    async def _get_progress(self, params: list[str]) -> Sequence[str]:
        """Logical blocks that a running backup has done; 0 when none runs."""
        volume = self._volume(params)
        works = [work for work in self._context.works.running(volume.name) if work.slots is Slots.FOREGROUND]
        return [str(sum(work.done for work in works) // LB_BYTES)]

    async def _get_ts_delta(self, params: list[str]) -> Sequence[str]:
        Parameters(params, 0, 0)
        return self._ts_deltas.lines()
