"""Connections cut or silent at any moment: one line of error, the daemons go on, and no byte is lost."""

from __future__ import annotations

import random

import pytest

from demo.group import wait_until
from tests.conftest import IS_LONG
from tests.system.backup_group import MIB, BackedUpVolume, RelayedGroup

SAMPLES = 40 if IS_LONG else 2
# The answers of a conversation: greeting, acceptance, acknowledgements.
EDGES_DOWN = (0, 30, 60, 90, 110) if IS_LONG else (90,)


def moments(what: str, limit: int, seed: int = 7) -> list[int]:
    """Byte counts after which to cut: the first, and a sample of the rest."""
    rng = random.Random(f"{what}{seed}")
    return [0, *(rng.randrange(1, limit) for _ in range(SAMPLES))]


def check_backup_survives(volume: BackedUpVolume) -> None:
    group = volume.group
    volume.fill()
    result = group.ask(group.storage, "full-bkp", volume.name, "--wait")
    volume.write(64 << 10)
    if result.status:
        errors = [line for line in result.err.splitlines() if " ERROR " in line]
        assert len(errors) == 1 and "Traceback" not in result.err, result.err
        volume.back_up_again()
    volume.write(64 << 10)
    volume.snapshot()
    volume.check_snapshots()


@pytest.mark.parametrize("count", moments("full", 4 * MIB))
def test_a_full_backup_cut_after_any_byte_fails_clearly_and_can_be_repeated(volume: BackedUpVolume, count: int) -> None:
    volume.group.to_archive.cut_after(count)
    check_backup_survives(volume)


@pytest.mark.parametrize("count", EDGES_DOWN)
def test_a_full_backup_whose_answers_are_cut_can_be_repeated(volume: BackedUpVolume, count: int) -> None:
    volume.group.to_archive.cut_after(count, upward=False)
    check_backup_survives(volume)


def test_a_full_backup_of_which_only_the_last_answer_is_lost_names_the_way_out(volume: BackedUpVolume) -> None:
    group = volume.group
    before = group.to_archive.passed[False]
    volume.back_up()
    answers_bytes = group.to_archive.passed[False] - before
    group.walbc(group.storage, "stop", volume.name, "--wait")
    group.walbc(group.storage, "reset-vol", volume.name)
    group.walbc(group.archive, "stop", volume.name, "--wait")
    group.walbc(group.archive, "reset-vol", volume.name)
    group.to_archive.cut_after(answers_bytes - 1, upward=False)
    check_backup_survives(volume)


@pytest.mark.parametrize("count", moments("wlog", MIB))
def test_shipping_log_cut_after_any_byte_goes_on_by_itself(target: BackedUpVolume, count: int) -> None:
    relay = target.group.to_proxy
    fault = relay.cut_after(count)
    for _ in range(4):
        target.write(MIB)
        target.snapshot()
    wait_until(lambda: fault.has_struck or kicked(target.group), 20, "the connection was cut")
    target.check_snapshots()


@pytest.mark.parametrize("count", moments("wdiff", MIB))
def test_sending_diffs_cut_after_any_byte_goes_on_by_itself(target: BackedUpVolume, count: int) -> None:
    relay = target.group.from_proxy
    fault = relay.cut_after(count)
    for _ in range(4):
        target.write(MIB)
        target.snapshot()
    wait_until(lambda: fault.has_struck or kicked(target.group), 20, "the connection was cut")
    target.check_snapshots()


@pytest.mark.parametrize("place", ["to_proxy", "from_proxy"])
def test_lost_acknowledgements_lose_no_data(target: BackedUpVolume, place: str) -> None:
    relay = getattr(target.group, place)
    target.write(MIB)
    target.snapshot()
    before = relay.passed[False]
    target.wait_arrival(kick=False)
    answers_bytes = relay.passed[False] - before
    fault = relay.cut_after(answers_bytes - 1, upward=False)
    for _ in range(4):
        target.write(MIB)
        target.snapshot()
        target.wait_arrival()
    assert fault.has_struck
    target.check_snapshots()


@pytest.mark.parametrize("place", ["to_proxy", "from_proxy"])
def test_a_connection_that_stays_cut_is_used_again_when_it_heals(target: BackedUpVolume, place: str) -> None:
    relay = getattr(target.group, place)
    fault = relay.cut_after(1000, stays=True)
    target.write(MIB)
    gid = target.snapshot()
    wait_until(lambda: fault.has_struck or kicked(target.group), 20, "the connection was cut")
    target.write(MIB)
    target.snapshot()
    assert gid not in target.restorable()
    relay.heal()
    target.check_snapshots()


@pytest.mark.long
@pytest.mark.parametrize("place", ["to_proxy", "from_proxy"])
def test_without_kick_a_healed_connection_is_used_again(target: BackedUpVolume, place: str) -> None:
    relay = getattr(target.group, place)
    fault = relay.cut_after(1000, stays=True)
    target.write(MIB)
    gid = target.snapshot()
    wait_until(lambda: fault.has_struck, 20, "the connection was cut")
    relay.heal()
    target.wait_arrival(gid, kick=False)
    target.check_snapshots()


def kicked(group: RelayedGroup) -> bool:
    """Retries delayed transfers; False, to be used in conditions."""
    group.walbc(group.storage, "kick")
    group.walbc(group.proxy, "kick")
    return False
