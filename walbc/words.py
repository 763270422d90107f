"""The words of a command line taken apart (walbc.md section 1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from walbc.commands import COMMANDS
from walbc.global_options import OPTIONS, SWITCHES
from walbc.light import NamedTuple
from walbc.table import Command, OptionError
from walbd.model.error import InvalidArgument
from walbd.model.suggest import suggestion

HELP = "-h"
OLD_SEPARATOR = "---"
_SEE_HELP = "walbc -h lists options and commands"


class Words(NamedTuple):
    """What stands before the command and after it. `switches` may stand on both sides."""

    options: dict[str, str]
    switches: set[str]
    strays: list[str]
    command: Command | None
    parameters: list[str]
    wants_help: bool


def is_option(word: str) -> bool:
    """A dash that is not followed by a digit."""
    return word.startswith("-") and not word[1:2].isdigit()


def split(words: Sequence[str]) -> Words:
    """Options are read up to the first word that is a command; all after it belongs to the command. Raises
    OptionError."""
    options: dict[str, str] = {}
    switches: set[str] = set()
    strays: list[str] = []
    rest = iter(words)
    for word in rest:
        if word in COMMANDS:
            command = COMMANDS[word]
            parameters, wants_help = _after(command, list(rest), switches)
            return Words(options, switches, strays, command, parameters, wants_help)
        if not is_option(word):
            strays.append(word)
        elif word == HELP:
            return Words(options, switches, strays, None, [], True)
        elif word in SWITCHES:
            switches.add(word)
        else:
            options[word[1:]] = _value(word, rest)
    return Words(options, switches, strays, None, [], False)


def _after(command: Command, words: list[str], switches: set[str]) -> tuple[list[str], bool]:
    """The parameters, and whether help is wanted; adds to the switches."""
    if command.passes_on:
        return (words[1:] if words[:1] == [OLD_SEPARATOR] else words), False
    for word in filter(is_option, words):
        if word != HELP and word not in SWITCHES:
            raise OptionError(f"bad opt:{word}", _hint_for(command, word))
        switches.add(word)
    wants_help = HELP in switches
    switches.discard(HELP)
    return [word for word in words if not is_option(word)], wants_help


def _hint_for(command: Command, word: str) -> str:
    if word[1:] in OPTIONS:
        return "options of the connection stand before the command"
    return f"walbc {command.name} -h explains the command"


def _value(word: str, words: Iterator[str]) -> str:
    option = OPTIONS.get(word[1:])
    if option is None:
        raise OptionError(f"bad opt:{word}", _SEE_HELP)
    if not option.word:
        return ""
    value = next(words, None)
    if value is None:
        raise OptionError(f"bad value:no value for {word}", _SEE_HELP)
    try:
        option.form(value)
    except InvalidArgument as error:
        raise OptionError(f"bad value:{value} for {word}", error.hint) from error
    return value


def check_strays(words: Words) -> None:
    """Raises OptionError for a word where only options and a command may stand."""
    if not words.strays:
        return
    if words.command:
        raise OptionError(f"redundant argVal:{words.strays[0]}", "parameters stand after the command")
    raise OptionError(f"bad command:{words.strays[0]}", suggestion(words.strays[0], COMMANDS, _SEE_HELP))
