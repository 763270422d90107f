"""`walbc completion SHELL`: scripts for bash, zsh and fish, made from the tables.

The scripts know commands, forms, options, fixed words, and the names of the servers file (asked when they are needed).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from walbc.commands import COMMANDS
from walbc.global_options import JSON, OPTIONS, SWITCHES, WAIT
from walbc.options import Request
from walbc.table import Command

SERVERS = "servers"
_NAMES = f"walbc completion {SERVERS} 2>/dev/null"


def run(request: Request) -> list[str]:
    """Prints a script, or the names that the scripts ask for."""
    (what,) = request.parameters
    if what == SERVERS:
        from walbc.servers import load_servers

        return list(load_servers(os.environ))
    return SCRIPTS[what]().splitlines()


def _rows() -> Iterator[tuple[str, list[str]]]:
    """What can follow each command, or command and form: `get` is followed by its targets, `start` by its roles."""
    for command in COMMANDS.values():
        forms = list(command.forms.rows.values()) if command.forms else []
        yield command.name, [form.name for form in forms] + _words(command, command)
        for form in forms:
            yield f"{command.name} {form.name}", _words(command, form)


def _words(command: Command, form: Command) -> list[str]:
    """Fixed words and switches of a row."""
    words = [word for parameter in form.parameters for word in parameter.kind.words]
    return words + [WAIT] * command.waits + [JSON] * bool(form.shape) + [*command.switches, "-h"]


def _options() -> list[str]:
    return [*(f"-{name}" for name in OPTIONS), *SWITCHES, "-h"]


def _bash() -> str:
    cases = "\n".join(f'        "{row}") words="{" ".join(words)}" ;;' for row, words in _rows())
    valued = " | ".join(f"-{option.name}" for option in OPTIONS.values() if option.word)
    with_forms = " | ".join(command.name for command in COMMANDS.values() if command.forms)
    return f"""\
# bash completion for walbc; install: walbc completion bash > /etc/bash_completion.d/walbc
_walbc() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} row="" words="" i=1
    while [ "$i" -lt "$COMP_CWORD" ]; do
        case ${{COMP_WORDS[i]}} in
        {valued}) i=$((i + 1)) ;;
        -*) ;;
        *) row=${{COMP_WORDS[i]}}; break ;;
        esac
        i=$((i + 1))
    done
    case $row in
    {with_forms}) [ $((i + 1)) -lt "$COMP_CWORD" ] && row="$row ${{COMP_WORDS[i + 1]}}" ;;
    esac
    if [ -n "$row" ]; then
        case $row in
{cases}
        esac
    elif [ "$i" -gt "$COMP_CWORD" ]; then
        case ${{COMP_WORDS[COMP_CWORD - 1]}} in
        -s) words=$({_NAMES}) ;;
        -a) mapfile -t COMPREPLY < <(compgen -A hostname -- "$current"); return ;;
        esac
    else
        words="{" ".join([*COMMANDS, *_options()])}"
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}}
complete -o default -F _walbc walbc
"""


def _zsh() -> str:
    commands = "\n".join(f"        {_quoted(f'{row.name}:{row.explanation}')}" for row in COMMANDS.values())
    options = " \\\n        ".join(_zsh_options())
    cases = "\n".join(
        f"        {_quoted(row)}) compadd -- {' '.join(map(_quoted, words))} || _files ;;" for row, words in _rows()
    )
    with_forms = " | ".join(command.name for command in COMMANDS.values() if command.forms)
    return f"""\
#compdef walbc
# zsh completion for walbc; install as a file _walbc in a folder of $fpath
_walbc() {{
    local -a commands
    local context state line row
    typeset -A opt_args
    commands=(
{commands}
    )
    _arguments -C \\
        {options} \\
        '1: :->command' \\
        '*:: :->parameters' && return
    case $state in
    command) _describe command commands ;;
    parameters)
        row=$words[1]
        case $row in
        {with_forms}) (( CURRENT > 2 )) && row="$row $words[2]" ;;
        esac
        case $row in
{cases}
        esac ;;
    esac
}}
if [ "$funcstack[1]" = _walbc ]; then _walbc "$@"; else compdef _walbc walbc; fi
"""


def _zsh_options() -> Iterator[str]:
    actions = {"s": f'{{compadd -- ${{(f)"$({_NAMES})"}}}}', "a": "_hosts"}
    for option in OPTIONS.values():
        value = f":{option.word}:{actions.get(option.name, '')}" if option.word else ""
        yield _quoted(f"-{option.name}[{option.explanation}]{value}")
    for switch, meaning in SWITCHES.items():
        yield _quoted(f"{switch}[{meaning}]")
    yield _quoted("-h[show help]")


def _fish() -> str:
    return "\n".join(["# fish completion for walbc; install as ~/.config/fish/completions/walbc.fish", *_fish_lines()])


def _fish_lines() -> Iterator[str]:
    every = " ".join(COMMANDS)
    before = f"not __fish_seen_subcommand_from {every}"
    for option in OPTIONS.values():
        value = " -x" if option.word else ""
        names = f" -a {_quoted(f'({_NAMES})')}" if option.name == "s" else ""
        yield f"complete -c walbc -n '{before}' -o {option.name}{value}{names} -d {_quoted(option.explanation)}"
    yield "complete -c walbc -o h -d 'show help'"
    for command in COMMANDS.values():
        yield f"complete -c walbc -f -n '{before}' -a {command.name} -d {_quoted(command.explanation)}"
        yield from _fish_row(command)


def _fish_row(command: Command) -> Iterator[str]:
    seen = f"__fish_seen_subcommand_from {command.name}"
    if command.forms:
        rows = command.forms.rows
        without = f"{seen}; and not __fish_seen_subcommand_from {' '.join(rows)}"
        for form in rows.values():
            yield f"complete -c walbc -f -n '{without}' -a {form.name} -d {_quoted(form.explanation)}"
    if words := " ".join(word for parameter in command.parameters for word in parameter.kind.words):
        yield f"complete -c walbc -n '{seen}' -a {_quoted(words)}"
    has_json = bool(command.shape) or bool(command.forms)
    for switch in [WAIT] * command.waits + [JSON] * has_json + list(command.switches):
        yield f"complete -c walbc -n '{seen}' -l {switch[2:]} -d {_quoted(SWITCHES[switch])}"


def _quoted(text: str) -> str:
    """For all three shells."""
    return "'" + text.replace("'", "'\\''") + "'"


SCRIPTS: dict[str, Callable[[], str]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}
