"""Power cuts of a device in this process, which runs with recorder.c preloaded.

    python -m tests.device.power.workload SEED N_CUTS

A chain of lives: each begins with a start (redo included) on what the last cut has left, goes on with random requests,
and is cut several times, at random moments of its journal. Some are two in a row: the process dies, often because syncs
of the log or the data device have begun to fail, and is started again without a cut in between. After each cut the
device must be as after a prefix of the requests that contains everything a completed flush or FUA covered; the last cut
of a life is where the next begins.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.device.engine_rig import Rig
from tests.device.power.chain import CUTS_IN_A_LIFE, redone, run
from tests.device.power.journal import Entry, Kind, Recorder, cut, on_medium
from tests.device.walb_devices import Pair
from walbd.device.user import look_ahead
from walbd.model.error import BadState, InvalidArgument, StorageFailure
from walbd.wlog import medium
from walbd.wlog.super_sector import SuperSector

DATA_BYTES = 64 << 10
LOG, DATA = 0, 1
SERVING = 1 << 32
"""A mark from here on: the start is over. Below: so many requests are covered."""


@dataclass(frozen=True)
class Change:
    """One record of the log: bytes, or zeros, from an offset on."""

    offset: int
    data: bytes


class History:
    """The content of the device after each number of changes, in their order."""

    def __init__(self) -> None:
        self.image = bytearray(DATA_BYTES)
        self.images = [bytes(self.image)]

    def add(self, change: Change) -> None:
        self.image[change.offset : change.offset + len(change.data)] = change.data
        self.images.append(bytes(self.image))

    def cut_to(self, count: int) -> None:
        del self.images[count + 1 :]
        self.image[:] = self.images[count]


def places(images: list[bytes], content: bytes, least: int) -> list[int]:
    """After how many changes the device had this content, from `least` on."""
    return [n for n in range(least, len(images)) if images[n] == content]


class Life:
    """One life of the device from start to its sudden end. `least`: so many changes are there after the start, or more;
    `completed`: so many are acknowledged at the end. `broken_file`: its syncs fail from some moment on."""

    def __init__(
        self,
        pair: Pair,
        history: History,
        least: int,
        rng: random.Random,
        recorder: Recorder,
        broken_file: int | None = None,
    ) -> None:
        self.pair, self.history, self.rng, self.recorder = pair, history, rng, recorder
        self.least = least
        self.broken_file = broken_file
        self.before = history.images[:]
        self._waiting: list[asyncio.Future[int]] = []
        self.completed = 0

    async def run(self) -> None:
        """Starts, serves random requests, and leaves everything as it is."""
        rig = Rig(self.pair)
        found = places(self.history.images, self.pair.ddev.read_bytes(), self.least)
        assert found, "the start ended with what no prefix of the requests explains"
        self.history.cut_to(found[-1])
        self.recorder.mark(SERVING)
        self.recorder.mark(found[-1])
        try:
            await self._serve(rig)
        finally:
            rig.engine.stop()
            rig.world._threads.shutdown(wait=True)
            rig.files.close()
            self.recorder.break_syncs(None)

    async def _serve(self, rig: Rig) -> None:
        n_steps = self.rng.randrange(5, 60)
        break_at = n_steps if self.broken_file is None else self.rng.randrange(n_steps)
        for number in range(n_steps):
            if number == break_at:
                self.recorder.break_syncs(self.broken_file)
            try:
                await self._step(rig)
            except (BadState, StorageFailure):
                assert rig.engine.failure and number >= break_at
        if self.rng.random() < 0.5:
            await asyncio.gather(*self._waiting)

    async def _step(self, rig: Rig) -> None:
        kind, rng = self.rng.random(), self.rng
        size = rng.randrange(1, 24) * 512
        offset = rng.randrange(0, (DATA_BYTES - size) // 512 + 1) * 512
        request: asyncio.Future[int] | None = None
        if kind < 0.6:
            data = rng.randbytes(size)
            is_fua = rng.random() < 0.1
            self._note(rig, offset, data)
            request = rig.start_write(offset, data, is_fua=is_fua)
            if is_fua:
                self._mark_when_done(request)
        elif kind < 0.75:
            self._note(rig, offset, bytes(size), is_discard=kind < 0.7)
            request = rig.start_discard(offset, size) if kind < 0.7 else rig.start_zeroes(offset, size)
        elif kind < 0.85:
            request = rig.start_flush()
            self._mark_when_done(request, only_completed=True)
        elif kind < 0.9:
            await rig.checkpointer.take()
        elif kind < 0.93:
            # While it waited for its turn, the log it names may have been overwritten: nobody ships it here.
            with contextlib.suppress(InvalidArgument):
                await rig.checkpointer.set_oldest(rig.engine.positions.prev_written)
        elif kind < 0.95:
            await asyncio.gather(*self._waiting)
            await rig.checkpointer.reset_wal()
            self.recorder.mark(len(self.history.images) - 1)
        else:
            await asyncio.sleep(0)
        if request is not None:
            self._waiting.append(request)
            if rng.random() < 0.3:
                error = await request
                assert not error or rig.engine.failure
                if kind < 0.75 and not error:  # writes are acknowledged in their order
                    self.completed = len(self.history.images) - 1

    def _note(self, rig: Rig, offset: int, data: bytes, *, is_discard: bool = False) -> None:
        step = len(data) if is_discard else rig.engine.max_record_lb * 512
        for at in range(0, len(data), step):
            self.history.add(Change(offset + at, data[at : at + step]))

    def _mark_when_done(self, request: asyncio.Future[int], *, only_completed: bool = False) -> None:
        # A flush covers what was completed before it was sent, FUA its own write and all before it.
        covered = min(self.completed, len(self.history.images) - 1) if only_completed else len(self.history.images) - 1
        request.add_done_callback(lambda done: None if done.result() else self.recorder.mark(covered))


def covered_by(entries: Sequence[Entry], before: int) -> tuple[int, int]:
    """How many changes were covered when the journal ended like this, and how many starts were over."""
    covered, n_starts = before, 0
    for entry in entries:
        if entry.kind is Kind.MARK and entry.offset == SERVING:
            covered, n_starts = 0, n_starts + 1
        elif entry.kind is Kind.MARK:
            covered = max(covered, entry.offset)
    return covered, n_starts


def check_cut(images: list[bytes], covered: int, files: Sequence[bytes], folder: Path) -> None:
    """Redoes what a cut left and checks it."""
    found = places(images, redone(files, folder), covered)
    assert found, f"{covered} changes were covered; the device is in no state at or after that"


class Chain:
    """A device from one life to the next."""

    def __init__(self, seed: int, folder: Path, recorder: Recorder) -> None:
        self.rng, self.folder, self.recorder = random.Random(seed), folder, recorder
        rng, self.pbs = self.rng, self.rng.choice([512, 4096])
        self.pair = Pair(folder, log_bytes=rng.choice([80, 120, 400]) * self.pbs, data_bytes=DATA_BYTES, pbs=self.pbs)
        # Rings are small here: with a small window they are searched while the log grows, as large ones are.
        look_ahead.WINDOW_BYTES = rng.choice([4, 30, 1000]) * self.pbs
        self.history, self.covered = History(), 0

    def live(self) -> None:
        """A life or two, and the cuts."""
        blocks, before = [self.pbs, 512], [self.pair.ldev.read_bytes(), self.pair.ddev.read_bytes()]
        self.recorder.watch([self.pair.ldev, self.pair.ddev])
        possible, restart, least = [], 0, self.covered
        with self._medium(before, blocks):
            n_lives = self.rng.choice([1, 1, 2])
            for number in range(n_lives):
                restart = len(self.recorder.entries())
                broken_file = self.rng.choice([None, LOG, LOG, DATA]) if number < n_lives - 1 else None
                life = Life(self.pair, self.history, least, self.rng, self.recorder, broken_file)
                possible.append(life.before)
                asyncio.run(life.run())
                # Without a cut nothing acknowledged is lost, flushed or not, and whatever has failed.
                least = max(life.completed, covered_by(self.recorder.entries(), self.covered)[0])
        possible.append(self.history.images)
        entries = self.recorder.entries()
        for _ in range(CUTS_IN_A_LIFE):
            moment = self._moment(entries, restart)
            files = cut(before, blocks, entries[:moment], self.rng)
            covered, n_starts = covered_by(entries[:moment], self.covered)
            check_cut(possible[n_starts], covered, files, self.folder)
        # Requests that were never sent before this moment cannot have survived: what is there tells at the next start.
        self.covered, self.history.images = covered, possible[n_starts]
        self.history.image[:] = self.history.images[-1]
        self.pair.ldev.write_bytes(files[0])
        self.pair.ddev.write_bytes(files[1])

    def _moment(self, entries: Sequence[Entry], restart: int) -> int:
        """Any, or one in the last start, when the page cache may know more than the files."""
        if self.rng.random() < 0.6:
            return self.rng.randrange(1, len(entries) + 1)
        n_start = [entry.offset for entry in entries[restart:]].index(SERVING)
        return restart + self.rng.randrange(1, n_start + 2)

    @contextlib.contextmanager
    def _medium(self, before: list[bytes], blocks: list[int]) -> Iterator[None]:
        """A start that reads the log device beside the page cache finds what the journal says."""

        def open_direct(ldev_fd: int, sector: SuperSector) -> int:
            path = self.folder / "medium"
            path.write_bytes(on_medium(before, blocks, self.recorder.entries())[LOG])
            return os.open(path, os.O_RDONLY)

        real, medium._open_direct = medium._open_direct, open_direct
        try:
            yield
        finally:
            medium._open_direct = real


if __name__ == "__main__":
    run(Chain)
