"""The page of walbc, made from its tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from scripts.reference import markdown
from scripts.reference.markdown import block, code, table
from walbc.commands import COMMANDS
from walbc.connection import SERVER_VARIABLE, VARIABLES
from walbc.explanations import COMMANDS as EXPLANATIONS
from walbc.global_options import OPTIONS, SWITCHES
from walbc.servers import FILE_VARIABLE
from walbc.table import KIND_NAMES, Command, Parameter, usage

_DESCRIPTION = """
`walbc` sends one command to one server and prints its answer. `walbc -h` lists commands; `walbc COMMAND -h` and
`walbc get TARGET -h` explain one, with an example, without a server. [walb](walb.md) explains what volumes, snapshots
and gids are.

- Values go to stdout, one per line; nothing for an empty list. Everything else goes to stderr.
- With `--json`, queries print [JSON](walbc-json.md) instead.
- Parameters are checked before anything is sent. Only a failed connection is tried again, and only by `status` and
  `get`.
- A command marked *waits* is answered when the server has accepted it; its work goes on after that. With `--wait`,
  `walbc` shows the progress of the work on stderr (a bar on a terminal, else a line every few seconds), ends when the
  work has ended, and fails with its reason when it has failed. Ctrl-C ends the waiting, not the work; so does a lost
  connection: `get tasks` and `get last-result` tell more. `shutdown --wait` ends when that server no longer listens.
- A command marked *always waits* ends with its work in any case; `--wait` shows the progress.
- `exec` passes everything after it on, options too; one `---` before the program is dropped.
"""
_OPTIONS = """
They stand before the command; `--wait` and `--json` may also stand after it. A value is the next word. Numbers are
decimal, perhaps with `k m g` (powers of 1000) or `K M G` (powers of 1024) at the end, or `0x` and hexadecimal digits;
the port is decimal only.
"""
_EXIT_STATUS = (
    ("0", "the command is done, or accepted; with `--wait`: the work has succeeded"),
    ("1", "refused, failed, no connection, wrong command line; without a command (the help is printed)"),
    ("130", "Ctrl-C"),
)
_ERRORS = """
An error is one line on stderr: `YYYY-MM-DD hh:mm:ss.mmm ERROR walbc error: TEXT` (UTC), or, when the command line is
not well formed, `OptionError:REASON (hint: WHAT TO DO)`. Mistyped commands, targets and servers are answered with what
may have been meant.
"""
_PRECEDENCE = """
What is said first in this list counts: an option, the server of `-s`, the variables that stand for options, the server
of `WALBC_SERVER`, the default.
"""
_FILES = """
[walb-servers](walb-servers.md) gives servers names, so that `walbc -s a0 status` is enough. It is the file that
`WALBC_CONFIG` names, else `~/.config/walb/servers.toml` (below `XDG_CONFIG_HOME` where that is set), else
`/etc/walb/servers.toml`.
"""
_FEW = 2


def page() -> str:
    """The whole page."""
    sections = {
        "Synopsis": block("walbc [OPTIONS] COMMAND [PARAMETERS]"),
        "Description": _DESCRIPTION,
        "Options": f"{_OPTIONS}\n{_options()}",
        "Commands": _rows("Command", "", COMMANDS.values()),
        **dict(_form_tables()),
        "Parameters": _kinds(),
        "What each command does": "\n\n".join(_details()),
        "Exit status": f"{table(('Status', 'Meaning'), _EXIT_STATUS)}\n{_ERRORS}",
        "Environment": f"{table(('Variable', 'Meaning'), _variables())}\n{_PRECEDENCE}",
        "Files": _FILES,
        "See also": markdown.see_also("walb", "walb-states", "walbc-json", "walb-servers", "wdevc", "walb-worker"),
    }
    return markdown.page("walbc(1): sends a command to a WalB server", sections)


def _options() -> str:
    rows = [("`-h`", "help; after a command: help of the command")]
    for option in OPTIONS.values():
        needed = "; required, unless -s or a variable says it" if option.is_required else ""
        rows.append((code(option.written), f"{option.explanation}{needed}"))
    rows += ((code(switch), meaning) for switch, meaning in SWITCHES.items())
    return table(("Option", "Meaning"), rows)


def _variables() -> Iterator[tuple[str, str]]:
    yield from ((code(variable), f"stands for `-{name}`") for variable, name in VARIABLES.items())
    yield code(SERVER_VARIABLE), "stands for `-s`"
    yield code(FILE_VARIABLE), "the servers file"


def _form_tables() -> Iterator[tuple[str, str]]:
    for command in COMMANDS.values():
        if command.forms:
            prefix = "" if command.name == "get" else f"{command.name} "
            name = command.forms.name
            yield f"{command.name} {name}", _rows(name.capitalize(), prefix, command.forms.rows.values())


def _rows(title: str, prefix: str, rows: Iterable[Command]) -> str:
    return table((title, "Servers", "Effect"), (_row(prefix, row) for row in rows))


def _row(prefix: str, row: Command) -> tuple[str, str, str]:
    parameters = f"{row.forms.name} ..." if row.forms else usage(row.parameters)
    return code(f"{prefix}{row.name} {parameters}".rstrip()), _servers(row), f"{row.explanation}{_waiting(row)}"


def _servers(row: Command) -> str:
    if not row.needs_server:
        return ""
    return ", ".join(KIND_NAMES[letter] for letter in row.kinds) if len(row.kinds) < len(KIND_NAMES) else "all"


def _waiting(row: Command) -> str:
    if row.always_waits:
        return "; *always waits*"
    return "; *waits*" if row.waits else ""


def _details() -> Iterator[str]:
    for name in filter(EXPLANATIONS.__contains__, COMMANDS):
        explanation = EXPLANATIONS[name]
        yield f"### {name}\n\n{explanation.text}\n\n{block(explanation.example)}"


def _kinds() -> str:
    """A row for each rule. A name that has several rules is told with the commands."""
    rules: dict[str, dict[str, set[str]]] = {}
    for command, parameter in _every_parameter():
        if parameter.kind.rule:
            rules.setdefault(parameter.kind.rule, {}).setdefault(parameter.name, set()).add(command)
    rows = []
    for rule, names in rules.items():
        others = {name for other, found in rules.items() if other != rule for name in found}
        only = sorted({command for name, commands in names.items() if name in others for command in commands})
        note = f"; of {' and '.join(only)}" if 0 < len(only) <= _FEW else ""
        rows.append((", ".join(map(code, names)), f"{rule}{note}"))
    return table(("Parameter", "Rule"), rows)


def _every_parameter() -> Iterator[tuple[str, Parameter]]:
    for command in COMMANDS.values():
        for row in (command, *(command.forms.rows.values() if command.forms else ())):
            yield from ((command.name, parameter) for parameter in row.parameters)
