"""Several volumes at once in one group, each with a thread of its own that does what operators do in random order
(python-library.md section 14, scenario1)."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import walblib
from demo.group import BIN
from tests.system.backup_group import BackedUpVolume, RelayedGroup, check_same, running_group
from tests.system.conftest import FAST
from tests.system.duplicated_group import SIZES
from tests.system.operated_group import LIMIT_SEC, params

pytestmark = pytest.mark.long
THREADS = 3
ACTIONS = 20
MANY = ["-fg", "6"]


@pytest.fixture
def group() -> Iterator[RelayedGroup]:
    """One server of each kind, with room for the work of all threads."""
    options = {"storage": [*FAST, *MANY, "-bg", "3"], "proxy": [*FAST, *MANY, "-bg", "3"], "archive": MANY}
    with running_group(RelayedGroup, options) as made:
        yield made


class Operator:
    """One volume and who works with it; every content that was backed up is restored and compared."""

    def __init__(self, group: RelayedGroup, number: int) -> None:
        self.volume = BackedUpVolume(group, f"vol{number}", f"dev{number}", random.Random(number), **SIZES)
        self.random = random.Random(f"actions of {number}")
        self.name = self.volume.name
        self.s0, self.p0, self.a0 = (params(server) for server in group.servers)
        self.walbc = walblib.Controller(str(BIN / "walbc"), walblib.ServerLayout([self.s0], [self.p0], [self.a0]))
        self.walbc.default_timeout_sec = LIMIT_SEC
        group.create_device(self.volume.device, self.volume.size_bytes, self.volume.log_bytes)
        self.volume.content = bytearray(self.volume.size_bytes)

    def work(self) -> None:
        """A backup, then actions by chance."""
        self.walbc.init_storage(self.s0, self.name, self.volume.device)
        self._change()
        self._check(self.walbc.full_backup(self.s0, self.name))
        actions: list[Callable[[], None]] = [
            self.back_up_anew, self.take_snapshot, self.back_up_by_hash, self.merge, self.apply, self.stop_and_start,
        ]  # fmt: skip
        for _ in range(ACTIONS):
            self.random.choice(actions)()

    def back_up_anew(self) -> None:
        self.walbc.stop(self.s0, self.name)
        self.walbc.clear(self.a0, self.name)
        self._change()
        self._check(self.walbc.full_backup(self.s0, self.name))

    def take_snapshot(self) -> None:
        self._check(self._snapshot())

    def back_up_by_hash(self) -> None:
        self.walbc.go_standby(self.s0, self.name)
        self._change()
        self._check(self.walbc.hash_backup(self.s0, self.name))

    def merge(self) -> None:
        begin, middle, end = (self._snapshot() for _ in range(3))
        self.walbc.disable_snapshot(self.a0, self.name, [middle])
        self.walbc.merge(self.a0, self.name, begin, end)
        self._check(end)

    def apply(self) -> None:
        gid = self._snapshot()
        self.walbc.apply(self.a0, self.name, gid)
        self._check(gid)

    def stop_and_start(self) -> None:
        server = self.random.choice((self.s0, self.p0, self.a0))
        self.walbc.stop(server, self.name)
        self.walbc.start(server, self.name)

    def _change(self) -> None:
        self.volume.write(256 << 10)

    def _snapshot(self) -> int:
        self._change()
        return self.walbc.snapshot(self.s0, self.name, [self.a0])

    def _check(self, gid: int | None) -> None:
        """The snapshot is the device as it is now."""
        assert gid is not None
        self.walbc.restore(self.a0, self.name, gid)
        content = Path(self.walbc.get_restored_path(self.a0, self.name, gid)).read_bytes()
        self.walbc.del_restored(self.a0, self.name, gid)
        check_same(content, bytes(self.volume.content), f"{self.name} gid {gid}")


def test_volumes_are_operated_side_by_side(group: RelayedGroup) -> None:
    operators = [Operator(group, number) for number in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as pool:
        works = [pool.submit(operator.work) for operator in operators]
        for work in works:
            work.result()
    for operator in operators:
        operator.volume.disconnect()
