"""When a command is allowed on a volume: rows of data and the one check (servers.md sections 3.3, 4.3, 5.5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from walbd.model.error import BadState
from walbd.server.actions import Actions
from walbd.server.stop_state import StopState


class Answer(Enum):
    """When a command is answered: after the work, or before it."""

    SYNC = "ok"
    ASYNC = "accept"


EVERY_ACTION = ("*",)
"""Stands for whichever actions the volume has."""


@dataclass(frozen=True)
class CommandRule:
    """One row. `states` None means any state; `forbids` names the actions that must not run; `remedy` says how a volume
    gets into the state."""

    command: str
    states: tuple[str, ...] | None
    answer: Answer = Answer.SYNC
    forbids: tuple[str, ...] = ()
    not_stopping: bool = False
    remedy: str = ""


def rule_table(*rows: CommandRule) -> Mapping[str, CommandRule]:
    """The rows of one kind of server by command name."""
    table = {row.command: row for row in rows}
    if len(table) != len(rows):
        raise ValueError("a command has two rows")
    return table


def check_rule(rule: CommandRule, volume: str, state: str, stop_state: StopState, actions: Actions) -> None:
    """Raises BadState, with the reference's texts (walbc.md section 8), unless the command is allowed now."""
    if rule.not_stopping and stop_state is not StopState.NOT_STOPPING:
        hint = "a stop is in progress; wait for its end, or end it with 'stop VOL force'"
        raise BadState(f"verifyStopState:{volume}:{stop_state.value}:{StopState.NOT_STOPPING.value}", hint)
    if rule.states is not None and state not in rule.states:
        hint = f"{rule.command} needs the state {' or '.join(rule.states)}"
        raise BadState(f"bad state:{volume}:{state}", f"{hint}; {rule.remedy}" if rule.remedy else hint)
    for name in actions.names if rule.forbids == EVERY_ACTION else rule.forbids:
        if count := actions.count(name):
            raise BadState(f"there are running action:{name}:{count}", f"wait until {name} of {volume} has ended")
