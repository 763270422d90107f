"""From the words of the command line to what is to be done (walbc.md section 1)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from walbc.commands import COMMANDS
from walbc.global_options import DEFAULT_RETRIES, DEFAULT_TIMEOUT_SEC, OPTIONS
from walbc.help import command_help, main_help
from walbc.table import Command, OptionError, check_parameters
from walbd.model.error import InvalidArgument, one_line

if TYPE_CHECKING:
    from walbd.model.address import Address

_OLD_SEPARATOR = "---"


class Request(NamedTuple):
    """A command line that is in order. `wait`: the end of the work is waited for; `is_shown`: with its progress."""

    server: Address
    timeout_sec: int
    client_id: str
    retries: int
    debug: bool
    command: Command
    parameters: list[str]
    wait: bool
    is_shown: bool


class Printout(Exception):
    """The command line asks for no more than a text on stdout and an exit status: help, or an option error."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.text = text
        self.status = status


class _Words(NamedTuple):
    """The command line taken apart."""

    options: dict[str, str]
    strays: list[str]
    command: Command | None
    rest: list[str]


def parse(arguments: Sequence[str]) -> Request:
    """The request of a command line. Raises Printout, or InvalidArgument for a parameter with a wrong content."""
    try:
        words = _split(iter(arguments))
        _check_options(words)
    except OptionError as error:
        raise Printout(_with_help(error, main_help()), 1) from error
    if words.command is None:
        raise Printout(main_help(), 1)
    from walbd.model.address import Address

    options, command = words.options, words.command
    if "retry" in options and not command.retries:
        raise InvalidArgument(f"The command does not support -retry option:{command.name}", "only status and get do")
    parameters, wait = _parameters(command, words.rest)
    return Request(
        server=Address(options["a"], int(options["p"])),
        timeout_sec=_integer(options, "to", DEFAULT_TIMEOUT_SEC),
        client_id=options.get("id", os.uname().nodename),
        retries=_integer(options, "retry", DEFAULT_RETRIES) if command.retries else 0,
        debug="debug" in options,
        command=command,
        parameters=parameters,
        wait=wait or command.always_waits,
        is_shown=wait,
    )


def _with_help(error: OptionError, help_text: str) -> str:
    return f"OptionError:{one_line(str(error))}\n\n{help_text}"


def _integer(options: dict[str, str], name: str, default: int) -> int:
    from walbd.model.size import parse_option_int

    return parse_option_int(options[name]) if name in options else default


def _is_option(word: str) -> bool:
    return word.startswith("-") and not word[1:2].isdigit()


def _split(words: Iterator[str]) -> _Words:
    """Options are read up to the first word that is a command; all after it belongs to the command."""
    options: dict[str, str] = {}
    strays: list[str] = []
    for word in words:
        if word in COMMANDS:
            return _Words(options, strays, COMMANDS[word], list(words))
        if not _is_option(word):
            strays.append(word)
        elif word == "-h":
            raise Printout(main_help(), 0)
        else:
            options[word[1:]] = _option_value(word, words)
    return _Words(options, strays, None, [])


def _option_value(word: str, words: Iterator[str]) -> str:
    option = OPTIONS.get(word[1:])
    if option is None:
        raise OptionError(f"bad opt:{word}")
    if not option.word:
        return ""
    value = next(words, None)
    if value is None:
        raise OptionError(f"bad value:no value for {word}")
    try:
        option.form(value)
    except InvalidArgument as error:
        raise OptionError(f"bad value:{value} for {word}") from error
    return value


def _check_options(words: _Words) -> None:
    for name, option in OPTIONS.items():
        if option.is_required and name not in words.options:
            raise OptionError(f"opt is necessary:{name}")
    if words.strays and words.command:
        raise OptionError(f"redundant argVal:{words.strays[0]}")
    if words.strays:
        raise OptionError(f"bad command:{words.strays[0]}")


def _parameters(command: Command, words: list[str]) -> tuple[list[str], bool]:
    """The positional parameters, checked, and whether `--wait` is among the words."""
    try:
        if command.passes_on:
            values = words[1:] if words[:1] == [_OLD_SEPARATOR] else words
            wait = False
        else:
            values = [word for word in words if not _is_option(word)]
            wait = _read_options(command, filter(_is_option, words))
        check_parameters(command, values)
    except OptionError as error:
        raise Printout(_with_help(error, command_help(command)), 1) from error
    return values, wait


def _read_options(command: Command, words: Iterator[str]) -> bool:
    wait = False
    for word in words:
        if word == "-h":
            raise Printout(command_help(command), 0)
        if word != "--wait" or not command.waits:
            raise OptionError(f"bad opt:{word}")
        wait = True
    return wait
