from __future__ import annotations

import pytest

from tests.server.server_testing import TABLE
from walbd.model.error import BadState
from walbd.server.state_machine import StateMachine, StateTable, Transition


def machine(state: str) -> StateMachine:
    return StateMachine(TABLE, state)


def test_a_committed_transaction_ends_in_its_new_state() -> None:
    volume = machine("Clear")
    with volume.begin("InitVol") as change:
        assert (volume.state, volume.is_static) == ("InitVol", False)
        change.commit()
    assert (volume.state, volume.is_static) == ("Ready", True)


def test_a_transaction_left_without_commit_returns_to_where_it_began() -> None:
    volume = machine("Ready")
    with pytest.raises(ZeroDivisionError), volume.begin("Backup"):
        raise ZeroDivisionError
    assert (volume.state, volume.is_static) == ("Ready", True)


def test_a_transition_from_another_state_is_refused_naming_all_three() -> None:
    with pytest.raises(BadState) as caught:
        machine("Running").begin("InitVol")
    assert caught.value.message == "StateMachineTransaction:bad state:Running:Clear:InitVol"


def test_a_second_transaction_is_refused_and_does_not_disturb_the_first() -> None:
    volume = machine("Ready")
    with volume.begin("Backup") as change:
        with pytest.raises(BadState, match="already called"):
            volume.begin("Remove")
        assert volume.state == "Backup"
        change.commit()
    assert volume.state == "Running"


def test_an_end_must_be_named_where_the_table_offers_several() -> None:
    volume = machine("Ready")
    with volume.begin("Remove") as change:
        for end in (None, "Running"):
            with pytest.raises(BadState):
                change.commit(end)
        change.commit("Clear")
    assert volume.state == "Clear"


def test_the_begin_state_can_be_demanded() -> None:
    with pytest.raises(BadState, match=r"bad state:Ready:Clear:Backup"):
        machine("Ready").begin("Backup", "Clear")


def test_every_change_is_told() -> None:
    told: list[str] = []
    volume = StateMachine(TABLE, "Ready", lambda: told.append(volume.state))
    with volume.begin("Backup"):
        pass
    assert told == ["Backup", "Ready"]


def test_a_stored_state_must_be_static() -> None:
    with pytest.raises(BadState):
        machine("Backup")


def test_a_table_cannot_use_a_state_as_static_and_dynamic() -> None:
    with pytest.raises(ValueError, match="static and dynamic"):
        StateTable("x", [Transition("A", "B", "C", ""), Transition("B", "D", "A", "")])
