"""Power cuts of a device in this process, which runs with recorder.c preloaded.

    python -m tests.device.power.workload SEED N_CUTS

A chain of lives: each begins with a start (redo included) on what the last cut has left, goes on with random requests,
and is cut several times, at random moments of its journal. After each cut the device must be as after a prefix of
the requests that contains everything a completed flush or FUA covered; the last cut of a life is where the next begins.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.device.engine_rig import Rig
from tests.device.power.journal import Entry, Kind, Recorder, cut
from tests.device.walb_devices import Pair
from walbd.device.user import look_ahead
from walbd.model.error import InvalidArgument
from walbd.wlog.recovery import recover
from walbd.wlog.super_sector import read_super_sector

DATA_BYTES = 64 << 10
CUTS_IN_A_LIFE = 4
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
    """One life of the device from start to the cuts."""

    def __init__(self, pair: Pair, history: History, covered: int, rng: random.Random, recorder: Recorder) -> None:
        self.pair, self.history, self.rng, self.recorder = pair, history, rng, recorder
        self.covered_before = covered
        self.before = history.images[:]
        self._waiting: list[asyncio.Future[int]] = []
        self._completed = 0

    async def run(self) -> None:
        """Starts, serves random requests, and leaves everything as it is."""
        self.recorder.watch([self.pair.ldev, self.pair.ddev])
        rig = Rig(self.pair)
        found = places(self.history.images, self.pair.ddev.read_bytes(), self.covered_before)
        assert found, "the start ended with what no prefix of the requests explains"
        self.history.cut_to(found[-1])
        self.recorder.mark(SERVING)
        self.recorder.mark(found[-1])
        try:
            for _ in range(self.rng.randrange(5, 60)):
                await self._step(rig)
            if self.rng.random() < 0.5:
                await asyncio.gather(*self._waiting)
        finally:
            rig.engine.stop()
            rig.files.close()

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
                assert await request == 0
                if kind < 0.75:  # writes are acknowledged in their order
                    self._completed = len(self.history.images) - 1

    def _note(self, rig: Rig, offset: int, data: bytes, *, is_discard: bool = False) -> None:
        step = len(data) if is_discard else rig.engine.max_record_lb * 512
        for at in range(0, len(data), step):
            self.history.add(Change(offset + at, data[at : at + step]))

    def _mark_when_done(self, request: asyncio.Future[int], *, only_completed: bool = False) -> None:
        # A flush covers what was completed before it was sent, FUA its own write and all before it.
        covered = min(self._completed, len(self.history.images) - 1) if only_completed else len(self.history.images) - 1
        request.add_done_callback(lambda _: self.recorder.mark(covered))

    def check_cut(self, entries: list[Entry], files: list[bytes], folder: Path) -> int:
        """Redoes what the cut left and checks it; returns how many changes are covered."""
        values = [entry.offset for entry in entries if entry.kind is Kind.MARK]
        is_serving = SERVING in values
        covered = max([value for value in values if value < SERVING], default=self.covered_before)
        images = self.history.images if is_serving else self.before
        paths = folder / "cut.ldev", folder / "cut.ddev"
        for path, content in zip(paths, files, strict=True):
            path.write_bytes(content)
        ldev, ddev = (os.open(path, os.O_RDWR) for path in paths)
        try:
            recover(ldev, ddev, read_super_sector(ldev))
        finally:
            os.close(ldev)
            os.close(ddev)
        found = places(images, paths[1].read_bytes(), covered)
        assert found, f"{covered} changes were covered; the device is in no state at or after that"
        return covered


def chain(seed: int, n_cuts: int, folder: Path, recorder: Recorder) -> None:
    """Lives until n_cuts cuts are checked."""
    rng = random.Random(seed)
    pbs = rng.choice([512, 4096])
    pair = Pair(folder, log_bytes=rng.choice([80, 120, 400]) * pbs, data_bytes=DATA_BYTES, pbs=pbs)
    # Rings are small here: with a small window they are searched while the log grows, as large ones are.
    look_ahead.WINDOW_BYTES = rng.choice([4, 30, 1000]) * pbs
    history, covered = History(), 0
    blocks = [pbs, 512]
    done = 0
    while done < n_cuts:
        before = [pair.ldev.read_bytes(), pair.ddev.read_bytes()]
        life = Life(pair, history, covered, rng, recorder)
        asyncio.run(life.run())
        entries = recorder.entries()
        for _ in range(CUTS_IN_A_LIFE):
            moment = rng.randrange(1, len(entries) + 1)
            files = cut(before, blocks, entries[:moment], rng)
            covered = life.check_cut(entries[:moment], files, folder)
            done += 1
        if SERVING not in [entry.offset for entry in entries[:moment] if entry.kind is Kind.MARK]:
            history.images = life.before
        # Requests that were never sent before this moment cannot have survived: what is there tells at the next start.
        history.image[:] = history.images[-1]
        pair.ldev.write_bytes(files[0])
        pair.ddev.write_bytes(files[1])


def main() -> None:
    """Runs one chain."""
    seed, n_cuts = int(sys.argv[1]), int(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        chain(seed, n_cuts, Path(folder), Recorder())
    print(f"{n_cuts} cuts")


if __name__ == "__main__":
    main()
