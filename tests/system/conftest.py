"""Groups of real processes on loopback: one for all tests that leave it as they found it, and new ones for the rest."""

from __future__ import annotations

import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.backup_group import BackedUpVolume, RelayedGroup, running_group

# Retries at once, so that tests wait for conditions and not for back-off.
FAST = ["-delay", "0", "-maxdelay", "1"]
OPTIONS = {"storage": FAST, "proxy": FAST, "archive": []}


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
