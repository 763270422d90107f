"""Several clients at once, on overlapping blocks: one order of their requests explains what each of them saw."""

from __future__ import annotations

import asyncio
import itertools
import random
import signal
from pathlib import Path

import pytest

from tests.device.history import (
    LB_BYTES,
    Kind,
    Request,
    check_registers,
    start_from,
    values_of,
)
from tests.device.many_clients import Draw, Notes, run_clients
from tests.device.walb_devices import BOUND_SEC, Pair, Server

SIZE_LB = 192


class Lives:
    """A device whose server is killed under its clients, again and again."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.rng = random.Random(seed)
        pbs = self.rng.choice([512, 4096])
        self.pair = Pair(folder, self.rng.choice([96, 400]) * pbs, SIZE_LB * LB_BYTES, pbs)
        self.draw = Draw(self.rng, SIZE_LB, itertools.count(1))
        self.values = [0] * SIZE_LB

    def live(self, n_requests: int) -> None:
        """Clients ask for so many things, then the server is killed and started again; what is there must be explained
        by the requests: every answered one has its place in their order, the others may have one."""
        notes = Notes()
        notes.requests += start_from(self.values)
        with Server(self.pair).wait_ready() as server:

            def is_over() -> bool:
                if len(notes.requests) - SIZE_LB == n_requests:
                    server.process.kill()
                return len(notes.requests) - SIZE_LB >= n_requests

            n_clients, depth = self.rng.randint(2, 6), self.rng.choice([1, 4, 32])
            asyncio.run(run_clients(server.nbd_path, self.draw, notes, n_clients, depth, is_over))
            assert server.process.wait(BOUND_SEC) == -signal.SIGKILL  # it did not end by itself
        with Server(self.pair).wait_ready() as server, server.client() as client:
            last = Request(Kind.READ, 0, SIZE_LB, begin=notes.moment())
            last.seen = self.values = values_of(client.read(0, SIZE_LB * LB_BYTES))
            last.end = notes.moment()
        check_registers([*notes.requests, last])


@pytest.mark.parametrize("number", range(2))
def test_clients_see_one_order_of_writes_and_a_kill_loses_none_that_was_answered(
    tmp_path: Path, number: int, seed: int
) -> None:
    lives = Lives(tmp_path, 2 * seed + number)
    for _ in range(2):
        lives.live(lives.rng.randrange(200, 800))


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("number", range(100, 120))
def test_clients_see_one_order_of_writes_whenever_the_server_is_killed(tmp_path: Path, number: int) -> None:
    lives = Lives(tmp_path, number)
    for _ in range(10):
        lives.live(lives.rng.randrange(20, 5000))
