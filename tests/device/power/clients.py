"""Power cuts of a device with several NBD clients, in this process, which runs with recorder.c preloaded.

    python -m tests.device.power.clients SEED N_CUTS

As in workload.py, a chain of lives, each cut several times. What a cut leaves must be as after a prefix of the requests
of all clients that contains whatever had been answered when a flush began, sent by any client, that was answered, too.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.device.engine_rig import Rig
from tests.device.history import LB_BYTES, NEVER, Request, check_registers, check_survivors, start_from, values_of
from tests.device.history import Kind as Asked
from tests.device.many_clients import Draw, Notes, run_clients
from tests.device.power.chain import CUTS_IN_A_LIFE, redone, run
from tests.device.power.journal import Entry, Kind, Recorder, cut
from tests.device.walb_devices import Pair
from walbd.device.user import look_ahead
from walbd.device.user.connection import Connection
from walbd.device.user.handshake import Export

SIZE_LB = 128


class Marks(Notes):
    """Begins and ends are marks in the journal: 2 n and 2 n + 1 for request n. Their places there are the moments."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def begin(self, request: Request) -> None:
        self._recorder.mark(2 * len(self.requests))
        self.requests.append(request)

    def end(self, request: Request) -> None:
        self._recorder.mark(2 * self.requests.index(request) + 1)

    def as_of(self, entries: Sequence[Entry]) -> list[Request]:
        """The requests that had begun by the last of the entries; those without an answer have no end."""
        requests: list[Request] = []
        for moment, entry in enumerate(entries, 1):
            if entry.kind is Kind.MARK and entry.offset % 2:
                requests[entry.offset // 2].end = moment
            elif entry.kind is Kind.MARK:
                requests.append(replace(self.requests[entry.offset // 2], begin=moment, end=NEVER))
        return requests


class Chain:
    """A device from one life to the next. `known`: the requests that what is on its files must be explained by."""

    def __init__(self, seed: int, folder: Path, recorder: Recorder) -> None:
        self.rng, self.folder, self.recorder = random.Random(seed), folder, recorder
        self.pbs = self.rng.choice([512, 4096])
        log_bytes = self.rng.choice([80, 120, 400]) * self.pbs
        self.pair = Pair(folder, log_bytes, SIZE_LB * LB_BYTES, self.pbs)
        look_ahead.WINDOW_BYTES = self.rng.choice([4, 30, 1000]) * self.pbs
        self.draw = Draw(self.rng, SIZE_LB, itertools.count(1))
        self.known = start_from([0] * SIZE_LB)

    def live(self) -> None:
        """One life from start to the cuts."""
        before = [self.pair.ldev.read_bytes(), self.pair.ddev.read_bytes()]
        self.recorder.watch([self.pair.ldev, self.pair.ddev])
        marks = Marks(self.recorder)
        n_starting, found = asyncio.run(self._serve(marks))
        entries = self.recorder.entries()
        check_registers([*start_from(found), *marks.as_of(entries)])
        flushed = [each.end for each in marks.as_of(entries) if each.kind is Asked.FLUSH and each.end != NEVER]
        for _ in range(CUTS_IN_A_LIFE):
            # At any moment, or when a client has just been told that a flush is done.
            moments = flushed if flushed and self.rng.random() < 0.4 else range(1, len(entries) + 1)
            moment = self.rng.choice(moments)
            files = cut(before, [self.pbs, LB_BYTES], entries[:moment], self.rng)
            requests = self.known
            if moment > n_starting:
                requests = [*start_from(found), *marks.as_of(entries[:moment])]
            check_survivors(requests, values_of(redone(files, self.folder)))
        self.known = requests
        self.pair.ldev.write_bytes(files[0])
        self.pair.ddev.write_bytes(files[1])

    async def _serve(self, marks: Marks) -> tuple[int, list[int]]:
        """Clients ask for random things, and everything is left as it is. Returns the length of the journal and the
        content of the device when it began to serve."""
        rig = Rig(self.pair)
        found = values_of(self.pair.ddev.read_bytes())
        check_survivors(self.known, found)
        n_starting, n_requests = len(self.recorder.entries()), self.rng.randrange(10, 200)
        export, path = Export("vol", SIZE_LB * LB_BYTES, self.pbs), self.folder / "nbd"
        clients: set[Connection] = set()
        server = await asyncio.get_running_loop().create_unix_server(
            lambda: Connection(rig.engine, rig.reader, rig.pool, lambda: export, clients), path
        )

        def resume_clients() -> None:
            for client in list(clients):
                client.resume()

        rig.engine.on_room = resume_clients
        shape = self.rng.randint(2, 5), self.rng.choice([1, 3, 16])
        asking = asyncio.ensure_future(
            run_clients(path, self.draw, marks, *shape, lambda: len(marks.requests) >= n_requests)
        )
        try:
            while not asking.done():
                await self._control(rig)
            await asking
        finally:
            server.close()
            path.unlink()
            rig.engine.stop()
            rig.world._threads.shutdown(wait=True)
            rig.files.close()
        return n_starting, found

    async def _control(self, rig: Rig) -> None:
        """What walb-storage and operators ask for meanwhile."""
        kind = self.rng.random()
        if kind < 0.1:
            await rig.checkpointer.take()
        elif kind < 0.12:
            await rig.checkpointer.reset_wal()
        elif kind < 0.16:
            await rig.checkpointer.freeze(0)
            rig.checkpointer.melt()
        else:
            await asyncio.sleep(0.002)


if __name__ == "__main__":
    run(Chain)
