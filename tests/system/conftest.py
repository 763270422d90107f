"""Groups of real processes on loopback: one for all tests that leave it as they found it, and new ones for the rest."""

from __future__ import annotations

import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.backup_group import BackedUpVolume, RelayedGroup, running_group
from tests.system.duplicated_group import DuplicatedGroup
from tests.system.operated_group import NUMBERS, Site, made_volume
from tests.system.writer import Writer

# Retries at once, so that tests wait for conditions and not for back-off.
FAST = ["-delay", "0", "-maxdelay", "1"]
OPTIONS = {"storage": FAST, "proxy": FAST, "archive": []}
PATIENT = [*FAST, "-to", "3"]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path: Unix sockets need that."""
    path = Path(tempfile.mkdtemp(prefix="walb-t-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def make_group(folder: Path) -> Iterator[Callable[..., RelayedGroup]]:
    """Makes groups of a test's own, not started; their options are added to the fast ones."""
    groups: list[RelayedGroup] = []

    def make(**options: list[str]) -> RelayedGroup:
        place = folder / f"g{len(groups)}"
        merged = {kind: [*FAST_OF, *options.get(kind, [])] for kind, FAST_OF in OPTIONS.items()}
        groups.append(RelayedGroup(place, place / "run", merged))
        return groups[-1]

    yield make
    for group in groups:
        group.stop()
        group.check_logs()


@pytest.fixture
def own_group(make_group: Callable[..., RelayedGroup]) -> RelayedGroup:
    """A started group of a test's own, which it may break."""
    group = make_group()
    group.start()
    return group


@pytest.fixture(scope="session")
def shared_group() -> Iterator[RelayedGroup]:
    """The group of all tests that leave it as they found it."""
    with running_group(RelayedGroup, OPTIONS) as group:
        yield group


@pytest.fixture
def group(shared_group: RelayedGroup) -> Iterator[RelayedGroup]:
    """The shared group; afterwards it must still run, and its logs tell of no defect."""
    yield shared_group
    for relay in shared_group.relays:
        relay.heal()
    for server in shared_group.servers:
        assert server.is_running(), f"{server.command[0]} has ended: {server.tail()}"
    shared_group.check_logs()


@pytest.fixture
def volume(group: RelayedGroup, request: pytest.FixtureRequest) -> Iterator[BackedUpVolume]:
    """A new volume in the shared group, not backed up yet."""
    made = group.volume(seed=zlib.crc32(request.node.nodeid.encode()))
    yield made
    made.remove()


@pytest.fixture
def target(volume: BackedUpVolume) -> BackedUpVolume:
    """A volume in the shared group that was backed up and is being shipped."""
    volume.write(256 << 10)
    volume.back_up()
    return volume


@pytest.fixture(scope="module")
def duplicated_group() -> Iterator[DuplicatedGroup]:
    """A group of all duplicated servers; tests leave its six servers as they were."""
    with running_group(DuplicatedGroup, {"storage": PATIENT, "proxy": PATIENT, "archive": []}) as made:
        yield made


@pytest.fixture
def site(duplicated_group: DuplicatedGroup) -> Site:
    """A new volume in that group, known to nobody."""
    return Site(duplicated_group, made_volume(duplicated_group, next(NUMBERS)))


@pytest.fixture
def writer(site: Site) -> Iterator[Writer]:
    """Writes to that volume, which was backed up from s0 to a0."""
    with site.backed_up() as writer:
        yield writer
