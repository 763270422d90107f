"""Random sequences of operations: whatever is restorable has its content, what merges must keep is kept."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.archive.archive_testing import RunningArchive, clean_diff, running_archive
from tests.archive.packs import LB, Io, Write, Zero, apply_ios
from walbd.model.error import Refused
from walbd.model.snapshot import Snapshot
from walbd.net.wdiff_transfer import Answer

SIZE_LB = 32
OPERATIONS = 40


class Model:
    """What a volume must hold."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.images = [rng.randbytes(SIZE_LB * LB)]
        self.explicit: set[int] = set()
        self.base = 0

    @property
    def latest(self) -> int:
        return len(self.images) - 1

    def grow(self) -> list[Io]:
        """The writes of the next diff."""
        ios: list[Io] = []
        ends = sorted(self.rng.sample(range(SIZE_LB + 1), 2 * self.rng.randint(0, 4)))
        for address_lb, end_lb in zip(ends[::2], ends[1::2], strict=True):
            kind = self.rng.random()
            if kind < 0.6:
                ios.append(Write(address_lb, self.rng.randbytes((end_lb - address_lb) * LB)))
            else:
                ios.append(Zero(address_lb, end_lb - address_lb, is_discard=kind < 0.8))
        image = bytearray(self.images[-1])
        apply_ios(image, ios)
        self.images.append(bytes(image))
        return ios


class Sequence:
    """Operations on one volume and what they are expected to do."""

    def __init__(self, archive: RunningArchive, model: Model) -> None:
        self.archive = archive
        self.model = model

    async def step(self) -> None:
        action = self.model.rng.choice(
            [self.receive, self.receive, self.receive, self.apply, self.merge, self.flag, self.restore, self.collect]
        )
        await action()

    async def receive(self) -> None:
        model = self.model
        gid, is_explicit = model.latest, model.rng.random() < 0.3
        if is_explicit:
            model.explicit.add(gid)
        diff = clean_diff(gid, gid + 1, is_mergeable=not is_explicit)
        assert await self.archive.offer(diff, model.grow(), size_lb=SIZE_LB) is Answer.ACCEPT

    async def apply(self) -> None:
        gid = self.model.rng.randint(0, self.model.latest)
        if await self._try("apply", "v0", str(gid)):
            (base,) = await self.archive.get("base", "v0")
            self.model.base = int(base.split("|")[1])
            assert self.model.base <= gid

    async def merge(self) -> None:
        first = self.model.rng.randint(0, self.model.latest)
        await self._try("merge", "v0", str(first), "gid", str(first + self.model.rng.randint(1, 6)))

    async def flag(self) -> None:
        gid = self.model.rng.randint(0, self.model.latest)
        is_enabled = self.model.rng.random() < 0.5
        if await self._try("enable-snapshot" if is_enabled else "disable-snapshot", "v0", str(gid)):
            self.model.explicit = self.model.explicit | {gid} if is_enabled else self.model.explicit - {gid}

    async def restore(self) -> None:
        gid = self.model.rng.randint(0, self.model.latest)
        if str(gid) in await self.archive.get("restored", "v0"):
            await self.archive.call("del-restored", "v0", str(gid))
        elif await self._try("restore", "v0", str(gid)):
            (path,) = await self.archive.get("restored-path", "v0", str(gid))
            assert Path(path).read_bytes() == self.model.images[gid]

    async def collect(self) -> None:
        await self.archive.call("gc-diff", "v0")

    async def _try(self, *command: str) -> bool:
        try:
            await self.archive.call(*command)
        except Refused:
            return False
        return True

    async def check(self) -> None:
        model = self.model
        gids = [int(line.split()[0]) for line in await self.archive.get("restorable", "v0", "all")]
        assert gids[-1:] == [model.latest] or model.latest == 0
        assert {gid for gid in model.explicit if gid > model.base} <= set(gids)
        for gid in gids:
            assert await self.archive.scan(gid) == model.images[gid], gid
        for gid in await self.archive.get("restored", "v0"):
            assert (self.archive.base / f"v0/wr_v0_{gid}").read_bytes() == model.images[int(gid)]


async def run_sequence(base: Path, seed: int) -> None:
    rng = random.Random(seed)
    model = Model(rng)
    async with running_archive(base) as archive:
        await archive.call("init-vol", "v0")
        await archive.full_backup(model.images[0], Snapshot.clean(0))
    for _ in range(2):
        async with running_archive(base, max_open=rng.choice([1, 2, 100])) as archive:
            sequence = Sequence(archive, model)
            await sequence.check()
            for _ in range(OPERATIONS // 2):
                await sequence.step()
            await sequence.check()


async def test_every_snapshot_keeps_its_content_through_any_operations(base: Path, seed: int) -> None:
    await run_sequence(base, seed)


@pytest.mark.long
@pytest.mark.parametrize("number", range(200))
async def test_every_snapshot_keeps_its_content_through_any_of_many_operations(base: Path, number: int) -> None:
    await run_sequence(base, number)
