"""The write path: log first, then the data device (wdev.md sections 2 and 15).

Everything here runs on the event loop; log writer, log syncer and data thread do the blocking work, one job each at a
time.

    submit -> incoming -> [log writer] -> logged, pending, acknowledged
                                       -> [log syncer] -> permanent, flushes and FUA acknowledged
                                                       -> [data thread] -> written

Group commit: whatever arrived while a log job was in flight, or a sync that somebody waits for, is the next job.
"""

from __future__ import annotations

import asyncio
import enum
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial

from walbd.device.nbd_protocol import EIO
from walbd.device.user.device_files import DeviceFiles
from walbd.device.user.log_writer import LogJob, LogResult, LogWriter
from walbd.device.user.look_ahead import LookAhead
from walbd.device.user.messages import error_line, warning_line
from walbd.device.user.pending import PendingSet
from walbd.device.user.positions import Notices, Positions
from walbd.device.user.worker import Worker
from walbd.device.user.writes import MAX_RECORD_LB, MAX_REQUESTS_TOGETHER, Done, Writes
from walbd.model.error import BadState, StorageFailure
from walbd.model.limits import LB_BYTES
from walbd.wlog.recovery import MAX_UNSYNCED_BYTES
from walbd.wlog.super_sector import SuperSector
from walbd.world.world import World

# A job is as much as has come, up to this.
MAX_JOB_RECORDS = 2048
MAX_JOB_BYTES = 8 << 20
# The log is synced after this long or this much, like log_flush_interval_ms and _mb of the driver.
LOG_SYNC_SEC = 0.1
LOG_SYNC_BYTES = 16 << 20
# What is permanent goes to the data device after this long or this much.
DATA_DELAY_SEC = 0.02
MUCH_LOG_BYTES = 1 << 20
# Writes not yet on the data device keep their memory; clients are held back above and let go below.
MAX_PENDING_BYTES = 32 << 20
MIN_PENDING_BYTES = 16 << 20
REPAIR_HINT = "repair the cause, then start the device again"
FULL_TEXT = "the log is full of what was not shipped yet: writes fail until walb-storage has shipped some"


@dataclass(slots=True)
class LoggedBatch:
    """Consecutive packs in the log, not yet on the data device. It ends at a pack boundary."""

    writes: list[Writes]
    end_lsid: int


class OnFull(enum.Enum):
    """What happens when the ring is full of log that was not shipped (wdev.md section 6)."""

    OVERFLOW = "overflow"
    """Writes go on and overwrite the oldest log; a backup has to begin anew."""
    ERROR = "error"
    """Writes fail until log has been given free."""


class Engine:
    """The write path of one device. `failure` is set once by an I/O error: read-only from then on (section 7)."""

    def __init__(
        self,
        files: DeviceFiles,
        sector: SuperSector,
        world: World,
        is_overflow: bool,
        on_full: OnFull = OnFull.OVERFLOW,
    ) -> None:
        self.files = files
        self.positions = Positions(sector.written_lsid, sector.oldest_lsid)
        self.notices = Notices()
        self.pending = PendingSet()
        self.is_overflow = is_overflow
        self.is_full_of_log = False
        self._full_at_oldest = -1
        self.failure = ""
        self.on_room: Callable[[], None] = lambda: None
        self.on_checkpoint_needed: Callable[[], None] = lambda: None
        self.on_written: Callable[[], None] = lambda: None
        self._world = world
        self._on_full = on_full
        self._log_writer = LogWriter(files)
        self._log_syncer = files.log_syncer()
        self._data_thread: Worker[None] = Worker("walb-data")
        self._incoming: deque[Writes] = deque()
        self._logged: deque[LoggedBatch] = deque()
        # Who waits for a sync up to an lsid, in the order of the lsids. Flushes that come during a hold: for its end.
        self._unsettled: deque[tuple[int, Done]] = deque()
        self._held_flushes: list[Done] = []
        self._progress = Notices()
        self._held = 0
        self._is_stopped = False
        self._draining = 0
        self._log_busy = self._data_busy = self._search_busy = False
        self._needs_room = self._needs_search = self._needs_sync = False
        self._unsynced_bytes = 0
        self._memory_bytes = 0
        self._sync_timer: asyncio.TimerHandle | None = None
        self._data_timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.use(sector)

    def use(self, sector: SuperSector) -> None:
        """Logs into this ring from now on. Nothing may be in flight."""
        self.files.use(sector)
        self._ahead = LookAhead(sector)
        self._ring_size_pb = sector.ring_size_pb
        self._max_unsynced_pb = MAX_UNSYNCED_BYTES // sector.pbs
        self._much_log_pb = MUCH_LOG_BYTES // sector.pbs
        # A record, the padding before it and the header must fit a ring that is still half full.
        lb_per_pb = sector.pbs // LB_BYTES
        self.max_record_lb = max(min(MAX_RECORD_LB, sector.ring_size_pb // 8 * lb_per_pb), lb_per_pb)

    # ---- requests ----

    @property
    def is_full(self) -> bool:
        """True when clients should send no more writes for now; on_room is called when they may again."""
        return self._memory_bytes >= MAX_PENDING_BYTES and not self.failure

    @property
    def refusal(self) -> str:
        """Why writes fail now; '' when they do not."""
        return self.failure or (FULL_TEXT if self.is_full_of_log else "")

    @property
    def max_requests_together(self) -> int:
        """How many requests one Writes may stand for: none shall fail because the one beside it does not fit."""
        return 1 if self._on_full is OnFull.ERROR else MAX_REQUESTS_TOGETHER

    def submit(self, writes: Writes) -> None:
        """Queues writes or discards; done(error) is called when they are acknowledged. Call kick after the last."""
        if self.failure:
            self._refuse([writes])
            return
        self._memory_bytes += writes.memory_bytes
        self._incoming.append(writes)

    def flush(self, done: Done) -> None:
        """Calls done(0) when a sync covers every write completed before. Call kick after the last."""
        if self.failure:
            done(EIO)
        elif self._held:
            self._held_flushes.append(done)
        else:
            self._unsettled.append((self.positions.completed, done))
            self._acknowledge_synced()

    def kick(self) -> None:
        """Starts what can be started."""
        self._pump_log()
        if self._unsettled:
            self._schedule_sync()

    # ---- log ----

    def _pump_log(self) -> None:
        while not (self._log_busy or self.failure) and (job := self._next_log_job()):
            if self._log_syncer.is_busy or not self._log_writer.takes_no_waiting(job):
                self._log_busy = True
                self._log_writer.submit(job, partial(self._log_done, job))
            else:
                self._logged_job(job, self._log_writer.run(job))

    def _next_log_job(self) -> LogJob | None:
        if not self._incoming or (self._unsettled and self._log_syncer.is_busy):
            return None
        if self._held or self._needs_room or self._needs_search or self._needs_sync:
            return None
        writes = self._take_incoming()
        native = bytearray().join([each.native for each in writes])
        limit_lsid = self._limit_lsid()
        return LogJob(writes, native, self.positions.latest, limit_lsid, self._zero_limit_lsid(limit_lsid))

    def _limit_lsid(self) -> int:
        """Log must end here: what redo needs is never overwritten, with ERROR nothing that was not shipped, nothing is
        written up to a block that redo could take for the log's continuation, and no more than a start looks after is
        ever without a sync."""
        positions = self.positions
        kept = positions.oldest if self._on_full is OnFull.ERROR and not self.is_overflow else positions.prev_written
        return min(kept + self._ring_size_pb, self._ahead.limit_lsid, positions.permanent + self._max_unsynced_pb)

    def _zero_limit_lsid(self, limit_lsid: int) -> int:
        """Below it nobody needs what is in the ring: neither redo nor, as long as nothing was lost, walb-storage."""
        return limit_lsid if self.is_overflow else min(limit_lsid, self.positions.oldest + self._ring_size_pb)

    def _take_incoming(self) -> list[Writes]:
        incoming, size_bytes, count = self._incoming, 0, 0
        taken: list[Writes] = []
        while incoming and count < MAX_JOB_RECORDS and size_bytes < MAX_JOB_BYTES:
            writes = incoming.popleft()
            count += writes.count
            size_bytes += writes.log_bytes
            taken.append(writes)
        return taken

    def _log_done(self, job: LogJob, result: LogResult) -> None:
        self._log_busy = False
        self._logged_job(job, result)
        self._pump_log()

    def _logged_job(self, job: LogJob, result: LogResult) -> None:
        writes = job.writes
        if self.failure or isinstance(result, BaseException):
            # The reason first: who is refused is told it.
            if isinstance(result, BaseException):
                self.fail(result)
            self._refuse(writes)
            self._progress.wake()
            return
        count, next_lsid = result
        left = self._cut(writes, count)
        if left:
            self._incoming.extendleft(reversed(left))
            # What gave room meanwhile was not seen by this job, and nothing else might come to ask for more.
            if job.limit_lsid == self._limit_lsid():
                self._lacks_room(job.limit_lsid)
        elif writes:
            self.is_full_of_log = False
        # First, because it may fail: what reads do not see must not get to the data device, or be acknowledged.
        self.pending.add(job.native, count)
        self._logged_to(writes, next_lsid)
        self._unsettled.extend([(next_lsid, each.done) for each in writes if each.is_fua and each.done is not None])
        self._schedule_sync()
        for each in writes:
            if each.done is not None and not each.is_fua:
                each.done(0)
        self._check_space()
        self._progress.wake()

    def _cut(self, writes: list[Writes], count: int) -> list[Writes]:
        """Cuts the list behind this many records and returns the rest."""
        for index, each in enumerate(writes):
            if count < each.count:
                left = writes[index:]
                writes[index:] = [each.split(count)] if count else []
                return left
            count -= each.count
        return []

    def _lacks_room(self, limit_lsid: int) -> None:
        """The first of _incoming does not fit below limit_lsid."""
        if limit_lsid == self._ahead.limit_lsid:
            self._needs_search = True
            return
        if limit_lsid == self.positions.permanent + self._max_unsynced_pb:
            self._needs_sync = True
            return
        if limit_lsid == self.positions.prev_written + self._ring_size_pb:
            self._needs_room = True
            return
        self.is_full_of_log = True
        # Small writes may still fit in between: as long as no log is given free, it is one and the same story.
        if self._full_at_oldest != self.positions.oldest:
            self._full_at_oldest = self.positions.oldest
            error_line(FULL_TEXT)
            self.notices.event()
        was_full = self.is_full
        self._refuse(self._take_request())
        if was_full:
            # Nothing may ever get to the data device that would tell those who wait. As in fail.
            asyncio.get_running_loop().call_soon(self.on_room)

    def _take_request(self) -> list[Writes]:
        """All that waits of the first request."""
        writes = [self._incoming.popleft()]
        while writes[-1].done is None:
            writes.append(self._incoming.popleft())
        self._memory_bytes -= sum(each.memory_bytes for each in writes)
        return writes

    def _logged_to(self, writes: list[Writes], next_lsid: int) -> None:
        positions = self.positions
        if writes or next_lsid != positions.latest:
            self._logged.append(LoggedBatch(writes, next_lsid))
            self._unsynced_bytes += sum([each.log_bytes for each in writes])
        positions.latest = positions.completed = next_lsid
        if positions.latest - positions.oldest > self._ring_size_pb and not self.is_overflow:
            self.is_overflow = True
            warning_line("log overflow: log that was not shipped yet is overwritten; a backup must be started anew")
            self.notices.event()

    def _check_space(self) -> None:
        """Asks for a checkpoint when half of the ring cannot be reused."""
        positions = self.positions
        if self._needs_room or positions.latest - positions.prev_written > self._ring_size_pb // 2:
            self.on_checkpoint_needed()
        self._search_ahead()

    def _search_ahead(self) -> None:
        step = self._ahead.next_step(self.positions.latest, self._needs_search)
        if step is not None and not self._search_busy and not self.failure:
            self._search_busy = True
            self._run(self._search(*step))

    async def _search(self, begin_lsid: int, end_lsid: int) -> None:
        try:
            await self._world.run(self.files.clear_stale, begin_lsid, end_lsid)
        except (StorageFailure, OSError) as error:
            self.fail(error)
        finally:
            self._search_busy = False
        if not self.failure:
            self._ahead.searched(end_lsid)
            self._needs_search = False
            self._pump_log()
        self._progress.wake()

    def _run(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ---- sync ----

    def _acknowledge_synced(self) -> None:
        while self._unsettled and self._unsettled[0][0] <= self.positions.permanent:
            self._unsettled.popleft()[1](0)

    def _permanent_to(self, lsid: int) -> None:
        positions = self.positions
        positions.flush = max(positions.flush, lsid)
        if lsid > positions.permanent:
            positions.permanent = lsid
            self._unsynced_bytes = 0
            self._needs_sync = False
            self.notices.wake()
        self._acknowledge_synced()
        self._schedule_data()

    @property
    def _is_urgent(self) -> bool:
        """Somebody waits for room in the ring or in memory, for a sync, or for everything to be written."""
        return bool(self._draining or self._needs_room or self._needs_sync or self.is_full)

    @property
    def _has_nothing_to_sync(self) -> bool:
        """There is nothing new, or it cannot be synced now."""
        return bool(self._log_syncer.is_busy or self.failure or self.positions.permanent == self.positions.completed)

    def _schedule_sync(self) -> None:
        """Sees to it that what is in the log becomes permanent without further I/O."""
        if self._has_nothing_to_sync:
            return
        if self._unsettled or self._is_urgent or self._unsynced_bytes >= LOG_SYNC_BYTES:
            self._start_sync()
        elif self._sync_timer is None:
            self._sync_timer = asyncio.get_running_loop().call_later(LOG_SYNC_SEC, self._start_sync)

    def _start_sync(self) -> None:
        if self._sync_timer is not None:
            self._sync_timer.cancel()
            self._sync_timer = None
        if self._has_nothing_to_sync:
            return
        target_lsid = self.positions.completed
        self.positions.flush = max(self.positions.flush, target_lsid)
        self._log_syncer.begin(partial(self._synced, target_lsid))

    def _synced(self, target_lsid: int, error: StorageFailure | None) -> None:
        if error is not None:
            self.fail(error)
        elif not self.failure:
            self._permanent_to(target_lsid)
            self._pump_log()
            self._schedule_sync()
        self._progress.wake()

    # ---- data ----

    def _schedule_data(self) -> None:
        """Sees to it that permanent log gets to the data device: at once when it is much, else together with what
        becomes permanent until then."""
        if self._data_busy or self.failure or self.positions.written == self.positions.permanent:
            return
        if self._is_urgent or self.positions.permanent - self.positions.written >= self._much_log_pb:
            # After the replies of those who wait.
            asyncio.get_running_loop().call_soon(self._pump_data)
        elif self._data_timer is None:
            self._data_timer = asyncio.get_running_loop().call_later(DATA_DELAY_SEC, self._pump_data)

    def _pump_data(self) -> None:
        if self._data_timer is not None:
            self._data_timer.cancel()
            self._data_timer = None
        if self._data_busy or self.failure:
            return
        writes: list[Writes] = []
        end_lsid, size_bytes = 0, 0
        while self._logged and self._logged[0].end_lsid <= self.positions.permanent and size_bytes < MAX_JOB_BYTES:
            batch = self._logged.popleft()
            writes += batch.writes
            end_lsid = batch.end_lsid
            size_bytes += sum([each.log_bytes for each in batch.writes])
        if not end_lsid:
            return
        native = bytearray().join([each.native for each in writes])
        files = self.files
        self._data_busy = True
        self._data_thread.submit(
            lambda: files.write_data(native), lambda result: self._data_done(writes, end_lsid, result)
        )

    def _data_done(self, writes: list[Writes], end_lsid: int, result: BaseException | None) -> None:
        self._data_busy = False
        if isinstance(result, BaseException):
            self._logged.appendleft(LoggedBatch(writes, end_lsid))  # still pending: reads need the data
            self.fail(result)
            self._progress.wake()
            return
        was_full = self.is_full
        self.pending.drop(sum([each.count for each in writes]))
        self._release(writes)
        self.positions.written = end_lsid
        self.on_written()
        self._schedule_data()
        self._check_space()
        if was_full or self._memory_bytes < MIN_PENDING_BYTES:
            self.on_room()
        self._progress.wake()

    def _release(self, writes: list[Writes]) -> None:
        for each in writes:
            self._memory_bytes -= each.memory_bytes
            if each.chunk is not None:
                each.chunk.unpin()

    def _refuse(self, writes: list[Writes]) -> None:
        for each in writes:
            if each.done is not None:
                each.done(EIO)
            if each.chunk is not None:
                each.chunk.unpin()

    # ---- control ----

    def fail(self, error: BaseException) -> None:
        """An I/O error of log or data: read-only until the device is started again (wdev.md section 7)."""
        if self.failure:
            return
        self.failure = str(error) or type(error).__name__
        error_line(f"read-only from now on: {self.failure}; {REPAIR_HINT}: the log redoes every acknowledged write")
        self._refuse(list(self._incoming))
        self._incoming.clear()
        unsettled = [done for _, done in self._unsettled] + self._held_flushes
        self._unsettled.clear()
        self._held_flushes.clear()
        for done in unsettled:
            done(EIO)
        self.notices.event()
        self._progress.wake()
        # Not from within: they submit.
        asyncio.get_running_loop().call_soon(self.on_room)

    def check_writable(self) -> None:
        """Raises BadState when an I/O error has made the device read-only, or its files are about to be closed."""
        if self._is_stopped:
            raise BadState("the device is being stopped", "ask again when it is served again")
        if self.failure:
            raise BadState(f"the device is read-only: {self.failure}", REPAIR_HINT)

    def checkpoint_taken(self, written_lsid: int) -> None:
        """The super sector on disk says written_lsid: the ring below it may be reused."""
        self.positions.prev_written = written_lsid
        self._needs_room = False
        self.notices.wake()
        # Not from within: who finds too little room asks for the next checkpoint, when this one is over.
        asyncio.get_running_loop().call_soon(self._pump_log)
        self._progress.wake()

    def hold(self) -> None:
        """Starts no new writes and flushes; they queue up. Counted: each hold needs a release."""
        self._held += 1

    def release(self) -> None:
        """Ends a hold."""
        self._held -= 1
        if not self._held:
            flushes, self._held_flushes = self._held_flushes, []
            for done in flushes:
                self.flush(done)
            self.kick()

    async def settle(self) -> None:
        """Returns when everything started is on the data device and, unless held, nothing waits to be started.
        Raises BadState when an I/O error ends the waiting."""
        self._draining += 1
        try:
            self._pump_log()
            while True:
                self.check_writable()
                self._schedule_sync()
                self._schedule_data()
                if self._is_settled():
                    return
                await self._progress.changed()
        finally:
            self._draining -= 1

    def _is_settled(self) -> bool:
        is_started = self._held or not self._incoming
        is_idle = not (self._log_busy or self._log_syncer.is_busy or self._data_busy or self._search_busy)
        return bool(is_started and is_idle and self.positions.written == self.positions.latest)

    def start_sequence(self, sector: SuperSector) -> None:
        """A new log sequence: all lsids 0, no overflow. Nothing may be in flight."""
        self.use(sector)
        self._ahead.finish()
        self.positions.reset()
        self.is_overflow = False
        self.is_full_of_log, self._full_at_oldest = False, -1
        self._needs_room = False
        self.notices.event()

    def stop(self) -> None:
        """Ends the threads; nothing is started any more."""
        self._is_stopped = True
        self._held += 1
        for timer in (self._sync_timer, self._data_timer):
            if timer is not None:
                timer.cancel()
        self._log_writer.stop()
        self._log_syncer.stop()
        self._data_thread.stop()
        self.notices.event()
