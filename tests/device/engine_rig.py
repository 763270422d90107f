"""A device's write path inside one process, on real files, with failures and delays put into single file operations."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from tests.device.walb_devices import BOUND_SEC, Pair
from walbd._core import ffi
from walbd.device.user.checkpoint import Checkpointer
from walbd.device.user.chunk import ChunkPool
from walbd.device.user.device_files import DeviceFiles
from walbd.device.user.engine import Engine, OnFull
from walbd.device.user.log_syncer import LogSyncer, Synced
from walbd.device.user.reader import Reader
from walbd.device.user.start import open_device
from walbd.device.user.writes import Writes, data_writes, discard_writes, zero_writes
from walbd.model.error import StorageFailure
from walbd.world.world import World


class WatchedFiles(DeviceFiles):
    """Writes down what is done in which order; holds operations back or lets them fail on request."""

    def __init__(self, pair: Pair) -> None:
        super().__init__(str(pair.ldev), str(pair.ddev))
        self.journal: list[tuple[str, int]] = []
        self.log_threads: list[str] = []
        self.failing: set[str] = set()
        self.gates: dict[str, threading.Event] = {}
        self.logged_lsid = self.stored_lsid = self.most_log_pb = 0

    def _enter(self, what: str, value: int = 0) -> None:
        if gate := self.gates.get(what):
            assert gate.wait(BOUND_SEC)
        if what in self.failing:
            raise StorageFailure(f"injected: {what}")
        self.journal.append((what, value))

    def write_log(self, native: bytearray, lsid: int, limit_lsid: int, zero_limit_lsid: int) -> tuple[int, int]:
        self.log_threads.append(threading.current_thread().name)
        self._enter("write log", lsid)
        count, next_lsid = super().write_log(native, lsid, limit_lsid, zero_limit_lsid)
        self.logged_lsid = next_lsid
        self.most_log_pb = max(self.most_log_pb, next_lsid - self.stored_lsid)
        return count, next_lsid

    def log_syncer(self) -> LogSyncer:
        """The real one, which syncs as soon as it is told to, unless it is held back or made to fail."""
        syncer = super().log_syncer()
        begin, loop = syncer.begin, asyncio.get_running_loop()

        def watched(done: Synced) -> None:
            covered = self.logged_lsid

            def synced(error: StorageFailure | None) -> None:
                try:
                    self.log_synced(covered)
                except StorageFailure as injected:
                    error = injected
                done(error)

            def objected(error: BaseException) -> None:
                syncer.is_busy = False
                assert isinstance(error, StorageFailure)
                done(error)

            def let_go(held: asyncio.Future[None]) -> None:
                if error := held.exception():
                    objected(error)
                else:
                    begin(synced)

            syncer.is_busy = True
            if "sync log" in self.gates:
                # What is held back must not hold the loop.
                loop.run_in_executor(None, self.sync_log).add_done_callback(let_go)
                return
            try:
                self.sync_log()
            except StorageFailure as error:
                loop.call_soon(objected, error)
            else:
                begin(synced)

        syncer.begin = watched  # type: ignore[method-assign]
        return syncer

    def sync_log(self) -> None:
        """Before each sync of the log."""
        self._enter("sync log")

    def log_synced(self, covered_lsid: int) -> None:
        """After each."""
        self.journal.append(("log synced", covered_lsid))

    def clear_stale(self, begin_lsid: int, end_lsid: int) -> None:
        self._enter("clear stale", begin_lsid)
        super().clear_stale(begin_lsid, end_lsid)

    def write_data(self, native: bytearray) -> None:
        writes = ffi.from_buffer("walb_log_write[]", native)
        for write in writes:
            self._enter("write data", write.offset_lb)
        super().write_data(native)

    def super_sync(self, sector) -> None:  # type: ignore[no-untyped-def]
        self._enter("super sync", sector.written_lsid)
        super().super_sync(sector)
        self.stored_lsid = sector.written_lsid


class Rig:
    """An engine with its checkpointer."""

    def __init__(self, pair: Pair, on_full: OnFull = OnFull.OVERFLOW) -> None:
        self.pair = pair
        self.world = World()
        self.files = WatchedFiles(pair)
        sector, is_overflow = open_device(self.files, "vol")
        self.files.journal.clear()
        self.engine = Engine(self.files, sector, self.world, is_overflow, on_full)
        self.checkpointer = Checkpointer(self.engine, self.files, sector, self.world)
        self.reader = Reader(self.engine, self.world)
        self.pool = ChunkPool()

    def start_write(self, offset: int, data: bytes, *, is_fua: bool = False) -> asyncio.Future[int]:
        chunk = self.pool.take(len(data))
        chunk.view[: len(data)] = data
        writes = data_writes(offset, chunk, 0, len(data), self.engine.max_record_lb)
        chunk.unpin()
        writes.is_fua = is_fua
        return self._submit(writes)

    def start_discard(self, offset: int, size: int) -> asyncio.Future[int]:
        return self._submit(discard_writes(offset, size))

    def start_zeroes(self, offset: int, size: int) -> asyncio.Future[int]:
        return self._submit(zero_writes(offset, size, self.engine.max_record_lb))

    def _submit(self, writes: Writes) -> asyncio.Future[int]:
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        writes.done = done.set_result
        self.engine.submit(writes)
        self.engine.kick()
        return done

    def start_flush(self) -> asyncio.Future[int]:
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.engine.flush(done.set_result)
        self.engine.kick()
        return done

    async def read(self, offset: int, size: int) -> bytes:
        buffer = bytearray(size)
        await self.reader.read(memoryview(buffer), offset)
        return bytes(buffer)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(BOUND_SEC):
            while not condition():
                await self.engine._progress.changed(0.05)

    def gate(self, what: str) -> threading.Event:
        if what == "write log":  # what may wait does so in the thread
            self.engine._log_writer.takes_no_waiting = lambda job: False  # type: ignore[method-assign]
        self.files.gates[what] = threading.Event()
        return self.files.gates[what]
