"""The reference page docs/walbc.md, made from the tables: `python -m walbc.reference > docs/walbc.md`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from walbc.commands import COMMANDS
from walbc.explanations import COMMANDS as EXPLANATIONS
from walbc.global_options import OPTIONS, SWITCHES
from walbc.table import KIND_NAMES, Command, Parameter, usage

_INTRODUCTION = """\
# walbc

`walbc` sends one command to one server and prints its answer. (This page is made from the program's command table.)

    walbc [OPTIONS] COMMAND [PARAMETERS]

`walbc -h` lists commands; `walbc COMMAND -h` and `walbc get TARGET -h` explain one, with an example, without a server.

## Options

They stand before the command; a value is the next word. Numbers are decimal, perhaps with `k m g` (powers of 1000) or
`K M G` (powers of 1024) at the end, or `0x` and hexadecimal digits; the port is decimal only.
"""

_BEHAVIOUR = """
## Named servers and variables

A file in TOML gives servers names, so that `walbc -s a0 status` is enough:

    [servers.a0]
    host = "backup1"
    port = 10200
    kind = "archive"     # optional: commands that are not for an archive are refused at once
    timeout = 60         # optional, as -to
    id = "operator"      # optional, as -id

It is the file that `WALBC_CONFIG` names, else `~/.config/walb/servers.toml` (below `XDG_CONFIG_HOME` where that is
set), else `/etc/walb/servers.toml`. A mistake in it is an error that names file, line, key, and what was expected.

`WALBC_HOST`, `WALBC_PORT`, `WALBC_TIMEOUT` and `WALBC_ID` stand for `-a`, `-p`, `-to` and `-id`, `WALBC_SERVER` for
`-s`. What is said first in this list counts: an option, the server of `-s`, the first four variables, the server of
`WALBC_SERVER`, the default.

## Answers, errors, exit status

- Values go to stdout, one per line; nothing for an empty list. Everything else goes to stderr.
- With `--json`, queries print [JSON](walbc-json.md) instead.
- An error is one line on stderr: `YYYY-MM-DD hh:mm:ss.mmm ERROR walbc error: TEXT` (UTC), or, when the command line is
  not well formed, `OptionError:REASON (hint: WHAT TO DO)`. Mistyped commands, targets and servers are answered with
  what may have been meant.
- The exit status is 0 for success, 1 for any error, 130 after Ctrl-C. Without a command, the help is printed and the
  exit status is 1.
- Parameters are checked before anything is sent. Only a failed connection is tried again, and only by `status` and
  `get`.
- A command marked *waits* is answered when the server has accepted it; its work goes on after that. With `--wait`,
  `walbc` shows the progress of the work on stderr (a bar on a terminal, else a line every few seconds), ends when the
  work has ended, and fails with its reason when it has failed. Ctrl-C ends the waiting, not the work; so does a lost
  connection: `get tasks` and `get last-result` tell more. `shutdown --wait` ends when that server no longer listens.
- A command marked *always waits* ends with its work in any case; `--wait` shows the progress.
- `--wait` and `--json` may stand before the command or after it.
- `-to` limits connecting and the time between two messages of the server. A server that works sends signs of life.
- `exec` passes everything after it on, options too; one `---` before the program is dropped.
"""


def page() -> str:
    """The whole page."""
    return "\n".join(
        [_INTRODUCTION, *_options(), _BEHAVIOUR, *_commands(), *_form_tables(), *_kinds(), *_details(), ""]
    )


def _options() -> Iterator[str]:
    yield from ("| Option | Meaning |", "|:--|:--|", "| `-h` | help; after a command: help of the command |")
    for option in OPTIONS.values():
        name = f"-{option.name} {option.word}".rstrip()
        needed = "; required, unless -s or a variable says it" if option.is_required else ""
        yield f"| `{name}` | {option.explanation}{needed} |"
    for switch, meaning in SWITCHES.items():
        yield f"| `{switch}` | {meaning} |"


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
        effect = row.explanation.replace("|", "\\|") + _waiting(row)
        form = f"{prefix}{row.name} {parameters}".rstrip().replace("|", "\\|")
        yield f"| `{form}` | {_servers(row)} | {effect} |"


def _servers(row: Command) -> str:
    if not row.needs_server:
        return ""
    return ", ".join(KIND_NAMES[letter] for letter in row.kinds) if len(row.kinds) < len(KIND_NAMES) else "all"


def _waiting(row: Command) -> str:
    if row.always_waits:
        return "; *always waits*"
    return "; *waits*" if row.waits else ""


def _details() -> Iterator[str]:
    yield "\n## What each command does"
    for name in filter(EXPLANATIONS.__contains__, COMMANDS):
        explanation = EXPLANATIONS[name]
        yield f"\n### {name}\n\n{explanation.text}\n\n    {explanation.example}"


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
