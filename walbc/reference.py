"""The reference page docs/walbc.md, made from the tables: `python -m walbc.reference > docs/walbc.md`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from walbc.commands import COMMANDS
from walbc.global_options import OPTIONS
from walbc.table import Command, Parameter, usage

_KIND_NAMES = {"S": "storage", "P": "proxy", "A": "archive"}

_INTRODUCTION = """\
# walbc

`walbc` sends one command to one server and prints its answer. (This page is made from the program's command table.)

    walbc [OPTIONS] COMMAND [PARAMETERS]

## Options

They stand before the command; a value is the next word. Numbers are decimal, perhaps with `k m g` (powers of 1000) or
`K M G` (powers of 1024) at the end, or `0x` and hexadecimal digits; the port is decimal only.
"""

_BEHAVIOUR = """
## Answers, errors, exit status

- Values go to stdout, one per line; nothing for an empty list. Everything else goes to stderr, except option errors:
  they go to stdout as `OptionError:REASON`, with the help text after them.
- An error is one line, with its time in UTC: `YYYY-MM-DD hh:mm:ss.mmm ERROR walbc error: TEXT`.
- The exit status is 0 for success, 1 for any error, 130 after Ctrl-C.
- Parameters are checked before anything is sent. Only a failed connection is tried again, and only by `status` and
  `get`.
- A command marked *waits* is answered when the server has accepted it; its work goes on after that. With `--wait`,
  anywhere after the command, `walbc` shows the progress of the work on stderr (a bar on a terminal, else a line every
  few seconds), ends when the work has ended, and fails with its reason when it has failed. Ctrl-C ends the waiting, not
  the work. `shutdown --wait` ends when that server no longer listens.
- `-to` limits connecting and the time between two messages of the server. A server that works sends signs of life.
- `exec` passes everything after it on, options too; one `---` before the program is dropped.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([_INTRODUCTION, *_options(), _BEHAVIOUR, *_commands(), *_form_tables(), *_kinds(), ""])


def _options() -> Iterator[str]:
    yield from ("| Option | Meaning |", "|:--|:--|", "| `-h` | help; after a command: help of the command |")
    for option in OPTIONS.values():
        name = f"-{option.name} {option.word}".rstrip()
        yield f"| `{name}` | {option.explanation}{'; required' if option.is_required else ''} |"


def _commands() -> Iterator[str]:
    yield "## Commands\n"
    yield from _rows("Command", "", COMMANDS.values())


def _form_tables() -> Iterator[str]:
    for command in COMMANDS.values():
        if command.forms:
            yield f"\n## {command.name} {command.forms.name}\n"
            prefix = "" if command.name == "get" else f"{command.name} "
            yield from _rows(command.forms.name.capitalize(), prefix, command.forms.rows.values())


def _rows(title: str, prefix: str, rows: Iterable[Command]) -> Iterator[str]:
    yield from (f"| {title} | Servers | Effect |", "|:--|:--|:--|")
    for row in rows:
        parameters = f"{row.forms.name} ..." if row.forms else usage(row.parameters)
        servers = ", ".join(_KIND_NAMES[letter] for letter in row.kinds) if len(row.kinds) < len(_KIND_NAMES) else "all"
        effect = f"{row.explanation}; *waits*" if row.waits else row.explanation
        form = f"{prefix}{row.name} {parameters}".rstrip().replace("|", "\\|")
        yield f"| `{form}` | {servers} | {effect} |"


def _kinds() -> Iterator[str]:
    yield from ("\n## Parameters\n", "| Parameter | Rule |", "|:--|:--|")
    names: dict[str, dict[str, None]] = {}
    for parameter in _every_parameter():
        if parameter.kind.rule:
            names.setdefault(parameter.kind.rule, {})[parameter.name] = None
    for rule, group in names.items():
        yield f"| {', '.join(f'`{name}`' for name in group)} | {rule} |"


def _every_parameter() -> Iterator[Parameter]:
    for command in COMMANDS.values():
        yield from command.parameters
        for form in command.forms.rows.values() if command.forms else ():
            yield from form.parameters


if __name__ == "__main__":
    print(page(), end="")
