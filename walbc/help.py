"""Help texts, made from the tables (walbc.md section 2)."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

import walbd.version
from walbc.commands import COMMANDS
from walbc.global_options import OPTIONS
from walbc.table import Command, Forms, Parameter, usage

_HELP_LINE = "  -h : show this help"
_WAIT_LINE = "  --wait : show progress, end when the work has ended"
_PARAMETERS_LINE = "  COMMAND [PARAMETER...] : COMMAND -h explains one"


def main_help() -> str:
    """Help of the whole program."""
    made_sec = os.stat(walbd.version.__file__).st_mtime
    made = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(made_sec))
    version = f"version {walbd.version.VERSION} build at {made} (wlog version {walbd.version.WLOG_VERSION})"
    return "\n".join(
        [
            "walbc: WalB control command",
            version,
            "",
            "usage: walbc [<opt1>] <command> [<args>]",
            "",
            "Command list:",
            *_padded({name: command.explanation for name, command in COMMANDS.items()}),
            "",
            _PARAMETERS_LINE,
            _HELP_LINE,
            *(
                f"  -{option.name} {option.word}".rstrip()
                + f" : {option.explanation}{' (must)' if option.is_required else ''}"
                for option in OPTIONS.values()
            ),
        ]
    )


def command_help(command: Command) -> str:
    """Help of one command."""
    lines = _forms_help(command, command.forms) if command.forms else _plain_help(command)
    return "\n".join([*lines, *([_WAIT_LINE] if command.waits else []), _HELP_LINE])


def _plain_help(command: Command) -> list[str]:
    return [
        f"usage:{command.name} {usage(command.parameters)}".rstrip(),
        f"  {command.explanation}",
        *_explained(command.parameters),
    ]


def _forms_help(command: Command, forms: Forms) -> list[str]:
    names = sorted(forms.rows)
    rows = {name: _form_text(forms.rows[name]) for name in names}
    every = [parameter for name in names for parameter in forms.rows[name].parameters]
    return [
        f"usage: {command.name} {forms.name} ARGUMENTS...",
        f"{forms.name} list:",
        *_padded(rows),
        *_explained(every),
    ]


def _form_text(form: Command) -> str:
    parameters = usage(form.parameters)
    return f"[{parameters}] {form.explanation}" if parameters else form.explanation


def _padded(rows: dict[str, str]) -> list[str]:
    width = max(map(len, rows)) + 1
    return [f"  {name:{width}}{text}" for name, text in rows.items()]


def _explained(parameters: Sequence[Parameter]) -> list[str]:
    """A line for each type of parameter, with all names that are of it."""
    names: dict[str, dict[str, None]] = {}
    for parameter in parameters:
        if parameter.kind.rule:
            names.setdefault(parameter.kind.rule, {})[parameter.name] = None
    return [f"  {', '.join(group)} : {rule.replace('`', '')}" for rule, group in names.items()]
