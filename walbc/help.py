"""Help texts, made from the tables (walbc.md section 2)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence

import walbd.version
from walbc.commands import COMMANDS
from walbc.global_options import JSON, OPTIONS, SWITCHES, WAIT
from walbc.table import KIND_NAMES, Command, Forms, Parameter, usage

_HELP_LINE = "  -h : show this help"
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
                f"  {option.written} : {option.explanation}{' (must)' if option.is_required else ''}"
                for option in OPTIONS.values()
            ),
            *(f"  {switch} : {meaning}, where the command allows it" for switch, meaning in SWITCHES.items()),
        ]
    )


def command_help(command: Command, form: Command | None = None) -> str:
    """Help of one command, or of one form of it (`get state`)."""
    if command.forms and not form:
        lines = [*_forms_help(command, command.forms), *_details(command)]
    elif form:
        lines = [*_plain_help(f"{command.name} {form.name}", form), *_answer(form.name, form)]
    else:
        lines = [*_plain_help(command.name, command), *_details(command), *_answer(command.name, command)]
    return "\n".join([*lines, *_switches(command, form), _HELP_LINE])


def _plain_help(name: str, row: Command) -> list[str]:
    servers = ", ".join(kind for letter, kind in KIND_NAMES.items() if letter in row.kinds)
    return [
        f"usage:{name} {usage(row.parameters)}".rstrip(),
        f"  {row.explanation}",
        *([f"  servers : {servers}"] if row.needs_server else []),
        *_explained(row.parameters),
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
        f"  {command.name} {forms.name} -h explains one",
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


def _details(command: Command) -> Iterator[str]:
    from walbc.explanations import COMMANDS as EXPLANATIONS

    explanation = EXPLANATIONS.get(command.name)
    if explanation:
        yield ""
        yield from (f"  {line}" for line in explanation.text.splitlines())
        yield from ("", "example:", f"  {explanation.example}")


def _answer(name: str, row: Command) -> Iterator[str]:
    """What is printed, and the same as JSON."""
    from walbc.explanations import ANSWERS

    if name in ANSWERS and row.shape:
        import json

        from walbc.shapes import json_value

        value = json_value(row.shape, ANSWERS[name])
        yield from ("", "answer, for example:", *(f"  {line}" for line in ANSWERS[name]))
        yield from (f"with {JSON}:", f"  {json.dumps(value, ensure_ascii=False)}")


def _switches(command: Command, form: Command | None) -> Iterator[str]:
    yield ""
    if command.waits:
        yield f"  {WAIT} : {SWITCHES[WAIT]}"
    if (form or command).shape:
        yield f"  {JSON} : {SWITCHES[JSON]}"
    yield from (f"  {switch} : {SWITCHES[switch]}" for switch in command.switches)
