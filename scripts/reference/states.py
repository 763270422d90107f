"""The page of states, made from the tables the daemons run on."""

from __future__ import annotations

from collections.abc import Mapping

from scripts.reference import markdown
from scripts.reference.markdown import code, see_also, table
from walbd.archive import states as archive
from walbd.proxy import states as proxy
from walbd.server.command_rules import EVERY_ACTION, CommandRule
from walbd.server.state_machine import CLEAR, StateTable
from walbd.storage import states as storage

_DESCRIPTION = """
A volume is in a *static* state, stored in its folder, or passes a *dynamic* one on the way from one static state to
the next. What fails on the way returns to the state it began in. After a crash the volume is in the last static state.
`walbc get state VOL` prints the state.

A command is answered `ok` after its work, or `accept` before it. "Must not run" names the actions that exclude it; "no
stop" means that it is refused while a `stop` of the volume is in progress.
"""
_TABLES = ((storage.STATES, storage.RULES), (proxy.STATES, proxy.RULES), (archive.STATES, archive.RULES))


def page() -> str:
    """The whole page."""
    sections = {
        "Description": _DESCRIPTION,
        **{f"walb-{states.kind}": _section(states, rules) for states, rules in _TABLES},
        "See also": see_also("walb", "walbc", "walb-storage", "walb-proxy", "walb-archive"),
    }
    return markdown.page("walb-states(7): states of a volume, and the commands that each allows", sections)


def _section(states: StateTable, rules: Mapping[str, CommandRule]) -> str:
    return "\n\n".join([f"Static: {', '.join(sorted(states.static))}.", _transitions(states), _rules(states, rules)])


def _transitions(states: StateTable) -> str:
    heads = ("From", "Dynamic", "To", "Cause")
    return table(heads, ((row.begin, row.during, row.end, row.cause) for row in states.rows))


def _state_names(names: tuple[str, ...] | None, states: StateTable) -> str:
    if names is None:
        return "any"
    return "not Clear" if set(names) == (states.static | states.dynamic) - {CLEAR} else ", ".join(names)


def _rules(states: StateTable, rules: Mapping[str, CommandRule]) -> str:
    heads = ("Command", "States", "Must not run", "No stop", "Answer")
    return table(heads, (_rule(states, rule) for rule in rules.values()))


def _rule(states: StateTable, rule: CommandRule) -> tuple[str, ...]:
    forbids = "any action" if rule.forbids == EVERY_ACTION else ", ".join(rule.forbids)
    names = _state_names(rule.states, states)
    return code(rule.command), names, forbids, "yes" if rule.not_stopping else "", rule.answer.value
