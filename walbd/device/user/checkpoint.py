"""Everything that writes the super sector of a running device: checkpoints, set-oldest, resize, reset-wal, stop.

One at a time; each is a checkpoint too (wdev.md section 4).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from walbd.device.user.device_files import DeviceFiles
from walbd.device.user.engine import Engine
from walbd.device.user.messages import info_line
from walbd.model.error import BadState, InvalidArgument, StorageFailure
from walbd.model.limits import check_range
from walbd.wlog.super_sector import SuperSector
from walbd.world.world import World

DEFAULT_INTERVAL_MS = 10_000
MAX_INTERVAL_MS = 86_400_000
MAX_FREEZE_SEC = 86_400


@dataclass(slots=True)
class _Freeze:
    """From the first call of freeze until the melt: calls that still wait, and whether one has returned."""

    n_waiting: int = 0
    is_complete: bool = False


class Checkpointer:
    """Owns the super sector and the freeze state of one device."""

    def __init__(self, engine: Engine, files: DeviceFiles, sector: SuperSector, world: World) -> None:
        self.sector = sector
        self._engine = engine
        self._files = files
        self._world = world
        self._lock = asyncio.Lock()
        self._interval_ms = DEFAULT_INTERVAL_MS
        self._timer: asyncio.TimerHandle | None = None
        self._melt_timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_asked = False
        self._freeze: _Freeze | None = None
        engine.on_checkpoint_needed = self._ask
        engine.on_written = self._start_timer

    # ---- checkpoints ----

    @property
    def interval_ms(self) -> int:
        """Milliseconds between checkpoints; 0 = none."""
        return self._interval_ms

    def set_interval_ms(self, interval_ms: int) -> None:
        """Sets it and starts counting anew."""
        self._interval_ms = check_range("checkpoint interval in ms", interval_ms, 0, MAX_INTERVAL_MS)
        self._stop_timer()
        self._start_timer()

    def _start_timer(self) -> None:
        """Has a checkpoint taken after the interval when there is something to store: an idle device has no timer."""
        positions = self._engine.positions
        is_needed = positions.written != positions.prev_written and not self._engine.failure
        if self._interval_ms and is_needed and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._interval_ms / 1000, self._tick)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._timer = None
        if not self.is_frozen:
            self._ask()
        self._start_timer()

    def _ask(self) -> None:
        """Takes a checkpoint soon, unless one is on its way or there is nothing to store."""
        positions = self._engine.positions
        if self._is_asked or self._engine.failure or positions.written == positions.prev_written:
            return
        self._is_asked = True
        task = asyncio.ensure_future(self._asked())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _asked(self) -> None:
        try:
            await self.take()
        except (BadState, StorageFailure):
            pass  # the engine has the failure and has reported it
        finally:
            self._is_asked = False

    async def take(self) -> None:
        """Stores the present written lsid, if it is not stored already."""
        async with self._lock:
            self._engine.check_writable()
            if self._engine.positions.written != self._engine.positions.prev_written:
                await self._super_sync(self.sector)

    async def _super_sync(self, sector: SuperSector) -> None:
        written = self._engine.positions.written
        sector = replace(sector, written_lsid=written)
        try:
            await self._world.run(self._files.super_sync, sector)
        except StorageFailure as error:
            self._engine.fail(error)
            raise
        self.sector = sector
        self._engine.positions.oldest = sector.oldest_lsid
        self._engine.checkpoint_taken(written)
        self._stop_timer()
        self._start_timer()

    # ---- the log ----

    async def set_oldest(self, lsid: int) -> None:
        """wdev.md section 10, command 7; durable when it returns."""
        async with self._lock:
            self._engine.check_writable()
            positions = self._engine.positions
            if not positions.oldest <= lsid <= positions.prev_written:
                allowed = f"{positions.oldest}..{positions.prev_written}"
                raise InvalidArgument(f"oldest lsid out of range: {lsid}", f"it must lie in {allowed}")
            if lsid < positions.permanent and not await self._world.run(self._files.has_pack, self.sector, lsid):
                raise InvalidArgument(f"no log pack begins at lsid {lsid}", "name the begin of a pack")
            await self._super_sync(replace(self.sector, oldest_lsid=lsid))

    async def reset_wal(self) -> None:
        """wdev.md section 8: a new log sequence from lsid 0, with a new uuid and salt, in a ring as large as the log
        device is now."""
        if self.is_frozen:
            raise BadState("the device is frozen", "melt it first")
        self._engine.hold()
        try:
            await self._engine.settle()
            async with self._lock:
                # A checkpoint that had the lock may have failed: what the data device lost is in the old log only.
                self._engine.check_writable()
                await self._new_sequence()
        finally:
            self._engine.release()

    async def _new_sequence(self) -> None:
        old = self.sector
        ring_size_pb = self._files.log_size_bytes() // old.pbs - old.ring_offset_pb
        if ring_size_pb < old.ring_size_pb:
            raise BadState("the log device has become smaller", "give it its size back, or format it")
        sector = replace(
            old,
            salt=int.from_bytes(self._world.random_bytes(4), "little"),
            uuid=self._world.random_bytes(16),
            ring_size_pb=ring_size_pb,
            oldest_lsid=0,
            written_lsid=0,
        )
        try:
            await self._world.run(self._files.reset, sector)
        except StorageFailure as error:
            self._engine.fail(error)
            raise
        self.sector = sector
        self._engine.start_sequence(sector)
        info_line(f"log reset: uuid {sector.uuid.hex()}, {ring_size_pb} blocks")

    # ---- size ----

    async def resize(self, size_lb: int) -> None:
        """Grows the device; 0 means as large as the data device. Durable when it returns."""
        async with self._lock:
            self._engine.check_writable()
            data_size_lb = self._files.data_size_lb()
            size_lb = size_lb or data_size_lb
            if size_lb < self.sector.device_size_lb:
                raise InvalidArgument(
                    f"cannot shrink from {self.sector.device_size_lb} to {size_lb} blocks",
                    "a smaller volume needs a device of its own",
                )
            if size_lb > data_size_lb:
                raise InvalidArgument(
                    f"{size_lb} blocks do not fit the data device of {data_size_lb}", "grow the data device first"
                )
            if size_lb > self.sector.device_size_lb:
                await self._super_sync(replace(self.sector, device_size_lb=size_lb))

    # ---- freeze ----

    @property
    def is_frozen(self) -> bool:
        """Whether writes are held back, from the begin of a freeze on."""
        return self._freeze is not None

    async def freeze(self, timeout_sec: int) -> None:
        """Returns when no write is in progress; on a frozen device only the time-out is replaced. One that fails or
        is cancelled takes its own freeze away, not that of others."""
        if timeout_sec < 0:
            raise InvalidArgument(f"time-out out of range: {timeout_sec}")
        if self._freeze is None:
            self._freeze = _Freeze()
            self._engine.hold()
        freeze = self._freeze
        freeze.n_waiting += 1
        try:
            await self._engine.settle()
        except BaseException:
            if freeze is self._freeze and freeze.n_waiting == 1 and not freeze.is_complete:
                self.melt()
            raise
        finally:
            freeze.n_waiting -= 1
        if freeze is not self._freeze:
            raise BadState("the device was melted before it was frozen", "who else freezes it?")
        freeze.is_complete = True
        self._cancel_melting()
        if timeout_sec:
            delay = min(timeout_sec, MAX_FREEZE_SEC)
            self._melt_timer = asyncio.get_running_loop().call_later(delay, self.melt)

    def melt(self) -> None:
        """Ends the freeze: what was queued starts."""
        self._cancel_melting()
        if self._freeze is not None:
            self._freeze = None
            self._engine.release()

    def _cancel_melting(self) -> None:
        if self._melt_timer is not None:
            self._melt_timer.cancel()
            self._melt_timer = None

    # ---- end ----

    async def stop(self) -> None:
        """The clean stop of wdev.md section 15.18: all writes on the data device, everything synced, written_lsid =
        latest. Raises BadState or StorageFailure when the device is read-only or fails now."""
        self._stop_timer()
        self.melt()
        await self._engine.settle()
        async with self._lock:
            self._engine.check_writable()  # as in reset_wal
            await self._super_sync(self.sector)
