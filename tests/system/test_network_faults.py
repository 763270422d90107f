"""Every conversation between daemons, in both directions, through a network that cuts, stalls, delays and damages:
no wrong byte in any restored snapshot, and progress once the network is well."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import pytest

from demo.group import CommandFailed, wait_until
from tests.system.backup_group import MIB, BackedUpVolume, RelayedGroup, running_group
from tests.system.conftest import FAST
from tests.system.relay import Relay
from tests.system.sampling import sampled

# A peer that stalls is given up soon.
PATIENCE = ["-to", "2"]
CONVERSATIONS = ("full backup", "hash backup", "log", "diffs")
FAULTS = ("cut", "stall", "delay", "damage")
DELAY_SEC = 0.05
STRIKE_SEC = 20.0


@pytest.fixture(scope="module")
def patient_group() -> Iterator[RelayedGroup]:
    """One group for all cases: each must leave it working."""
    with running_group(RelayedGroup, {kind: [*FAST, *PATIENCE] for kind in ("storage", "proxy")}) as group:
        yield group


@dataclass
class Strike:
    """What happens to one conversation."""

    conversation: str
    fault: str
    is_upward: bool
    share: float

    def relay(self, group: RelayedGroup) -> Relay:
        """The one the conversation passes through."""
        return {"log": group.to_proxy, "diffs": group.from_proxy}.get(self.conversation, group.to_archive)

    def arm(self, group: RelayedGroup) -> None:
        """From now on it may happen, somewhere among the bytes of the direction."""
        relay = self.relay(group)
        # Answers are short: a greeting, acceptance, acknowledgements. The hash backup's are hashes.
        longest = MIB if self.is_upward else (1000 if self.conversation == "hash backup" else 120)
        count = int(self.share * longest)
        if self.fault == "cut":
            relay.cut_after(count, upward=self.is_upward)
        elif self.fault == "stall":
            relay.hang_after(count, upward=self.is_upward)
        elif self.fault == "damage":
            relay.damage_after(count, upward=self.is_upward)
        else:
            relay.delay(DELAY_SEC)

    def has_struck(self, group: RelayedGroup) -> bool:
        """Whether it has happened; a delay happens all the time."""
        fault = self.relay(group)._fault
        return fault is None or fault.has_struck


CASES = sampled(3, CONVERSATIONS, FAULTS, (True, False), (0.0, 0.3, 0.9))


@pytest.mark.parametrize(("conversation", "fault", "is_upward", "share"), CASES)
def test_a_bad_network_costs_time_and_no_byte(
    patient_group: RelayedGroup, conversation: str, fault: str, is_upward: bool, share: float
) -> None:
    group, strike = patient_group, Strike(conversation, fault, is_upward, share)
    volume = group.volume(random.Random(f"{strike}").randrange(1 << 30), size_bytes=2 * MIB)
    try:
        volume.fill()
        if conversation == "full backup":
            strike.arm(group)
            back_up_in_spite(volume)
        else:
            volume.back_up()
            volume.snapshot()
        if conversation == "hash backup":
            volume.wait_arrival()
            to_sync_ready(volume)
            volume.write(MIB)
            strike.arm(group)
            hash_in_spite(volume)
        elif conversation in ("log", "diffs"):
            strike.arm(group)
            ship_in_spite(volume, strike)
        strike.relay(group).heal()
        volume.write(64 << 10)
        volume.snapshot()
        volume.check_snapshots()
        for server in group.servers:
            assert server.is_running()
    finally:
        volume.remove()


def back_up_in_spite(volume: BackedUpVolume) -> None:
    """A full backup through the bad network, then, where it failed, through a good one."""
    group = volume.group
    result = group.ask(group.storage, "full-bkp", volume.name, "--wait")
    group.to_archive.heal()
    if result.status:
        assert "Traceback" not in result.err
        volume.back_up_again()


def to_sync_ready(volume: BackedUpVolume) -> None:
    """Target -> Stopped -> SyncReady."""
    group = volume.group
    group.walbc(group.storage, "stop", volume.name, "--wait")
    group.walbc(group.storage, "reset-vol", volume.name)


def hash_in_spite(volume: BackedUpVolume) -> None:
    """A hash backup through the bad network, then, where it failed, through a good one."""
    group = volume.group
    result = group.ask(group.storage, "hash-bkp", volume.name, "--wait")
    group.to_archive.heal()
    if result.status:
        assert "Traceback" not in result.err
        group.wait_state(group.storage, volume.name, "SyncReady")

        def is_done() -> bool:
            again = group.ask(group.storage, "hash-bkp", volume.name, "--wait")
            # The archive may be busy with diffs of the log that was shipped meanwhile.
            assert again.status == 0 or "bad state" in again.err, again.err
            return again.status == 0

        wait_until(is_done, STRIKE_SEC, "the hash backup is repeated")


def ship_in_spite(volume: BackedUpVolume, strike: Strike) -> None:
    """Writes and snapshots until the fault has struck."""
    group = volume.group

    def has_struck() -> bool:
        with suppress(CommandFailed):
            volume.write(256 << 10)
            volume.snapshot()
            group.walbc(group.storage, "kick")
            group.walbc(group.proxy, "kick")
        return strike.has_struck(group)

    for _ in range(2):
        has_struck()
    wait_until(has_struck, STRIKE_SEC, "the fault has struck")
