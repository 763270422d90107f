"""Writes docs/states.md from the state and command tables of the three daemons."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from walbd.archive import states as archive
from walbd.proxy import states as proxy
from walbd.server.command_rules import EVERY_ACTION, CommandRule
from walbd.server.state_machine import CLEAR, StateTable
from walbd.storage import states as storage

TARGET = Path(__file__).resolve().parent.parent / "docs" / "states.md"
INTRODUCTION = """# States of a volume

Generated from `walbd/{storage,proxy,archive}/states.py` by `scripts/generate_states.py`; do not edit.

A volume is in a *static* state, stored in its folder, or passes a *dynamic* one on the way from one static state to
the next. What fails on the way returns to the state it began in. After a crash the volume is in the last static state.

A command is answered `ok` after its work, or `accept` before it. "Must not run" names the actions that exclude it; "no
stop" means that it is refused while a `stop` of the volume is in progress.
"""


def transitions(table: StateTable) -> list[str]:
    lines = ["| From | Dynamic | To | Cause |", "|:--|:--|:--|:--|"]
    return lines + [f"| {row.begin} | {row.during} | {row.end} | {row.cause} |" for row in table.rows]


def state_names(states: tuple[str, ...] | None, table: StateTable) -> str:
    if states is None:
        return "any"
    return "not Clear" if set(states) == (table.static | table.dynamic) - {CLEAR} else ", ".join(states)


def rules(states: StateTable, table: Mapping[str, CommandRule]) -> list[str]:
    lines = ["| Command | States | Must not run | No stop | Answer |", "|:--|:--|:--|:--|:--|"]
    for rule in table.values():
        forbids = "any action" if rule.forbids == EVERY_ACTION else ", ".join(rule.forbids)
        stop = "yes" if rule.not_stopping else ""
        lines.append(
            f"| `{rule.command}` | {state_names(rule.states, states)} | {forbids} | {stop} | {rule.answer.value} |"
        )
    return lines


def render() -> str:
    """The whole page."""
    parts = [INTRODUCTION]
    tables = ((storage.STATES, storage.RULES), (proxy.STATES, proxy.RULES), (archive.STATES, archive.RULES))
    for states, commands in tables:
        head = [f"## walb-{states.kind}", "", "Static: " + ", ".join(sorted(states.static)) + ".", ""]
        parts.append("\n".join([*head, *transitions(states), "", *rules(states, commands)]) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(render())
