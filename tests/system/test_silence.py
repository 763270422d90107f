"""A peer that stays connected and says nothing: the time-out -to ends it, and the job is done later."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from demo.group import wait_until
from tests.system.backup_group import BackedUpVolume, RelayedGroup
from tests.system.sampling import sampled

SHORT = ["-to", "2"]


@pytest.fixture
def impatient(make_group: Callable[..., RelayedGroup]) -> BackedUpVolume:
    """A volume in a group with short time-outs, not backed up yet."""
    group = make_group(storage=SHORT, proxy=SHORT, archive=SHORT)
    group.start()
    return group.volume(seed=41)


@pytest.mark.parametrize("count", sampled(1, [0, 300, 1_000_000]))
def test_a_full_backup_over_a_silent_connection_fails_after_the_time_out(impatient: BackedUpVolume, count: int) -> None:
    volume, group = impatient, impatient.group
    volume.fill()
    group.to_archive.hang_after(count)
    done = group.ask(group.storage, "full-bkp", volume.name, "--wait")
    assert done.status == 1
    errors = [line for line in done.err.splitlines() if " ERROR " in line]
    assert len(errors) == 1 and "2 s" in errors[0], done.err
    group.to_archive.heal()
    for server in (group.storage, group.archive):
        group.wait_state(server, volume.name, "SyncReady")
    volume.back_up()
    volume.snapshot()
    volume.check_snapshots()


@pytest.mark.parametrize(("place", "count"), sampled(2, ["to_proxy", "from_proxy"], [100, 100_000]))
def test_shipping_over_a_silent_connection_goes_on_when_it_heals(
    impatient: BackedUpVolume, place: str, count: int
) -> None:
    volume, group = impatient, impatient.group
    volume.back_up()
    relay = getattr(group, place)
    fault = relay.hang_after(count)
    volume.write(1 << 20)
    volume.snapshot()

    def has_struck() -> bool:
        group.walbc(group.storage, "kick")
        return fault.has_struck

    wait_until(has_struck, 20, "the connection hangs")
    sender = group.storage if place == "to_proxy" else group.proxy
    wait_until(lambda: "2 s" in group.log_of(sender), 20, "the sender noticed the silence")
    for server in group.servers:
        assert group.walbc(server, "status", volume.name)
    relay.heal()
    volume.check_snapshots()
