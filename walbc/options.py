"""From the words of the command line to what is to be done (walbc.md section 1)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from walbc.connection import Connection, resolve
from walbc.global_options import DEFAULT_RETRIES, JSON, ONCE, WAIT
from walbc.light import NamedTuple
from walbc.table import Command, OptionError, check_parameters, selected, usage
from walbc.words import HELP, Words, check_strays, split
from walbd.model.error import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from walbd.model.address import Address


class Request(NamedTuple):
    """A command line that is in order. `form`: the row that describes the parameters. `wait`: the end of the work is
    waited for."""

    connection: Connection
    retries: int
    debug: bool
    command: Command
    form: Command
    parameters: list[str]
    wait: bool = False
    switches: frozenset[str] = frozenset()

    @property
    def server(self) -> Address:
        """Where the server is."""
        return self.connection.address

    @property
    def is_shown(self) -> bool:
        """The progress of the work is shown."""
        return WAIT in self.switches

    @property
    def is_json(self) -> bool:
        """The answer is printed as JSON."""
        return JSON in self.switches

    @property
    def client_id(self) -> str:
        """Who asks."""
        return self.connection.client_id

    @property
    def timeout_sec(self) -> int:
        """Of connecting and of each message; 0 for none."""
        return self.connection.timeout_sec


class Printout(Exception):
    """The command line asks for no more than a text on stdout and an exit status."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.text = text
        self.status = status


def parse(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> Request:
    """The request of a command line. Raises Printout, OptionError, or InvalidArgument for a parameter, variable or file
    with a wrong content."""
    words = split(arguments)
    if words.wants_help and not words.strays:
        raise Printout(_help(words), 0)
    check_strays(words)
    command = words.command
    if command is None:
        raise Printout(_help(words), 1)
    if "retry" in words.options and not command.retries:
        raise InvalidArgument(f"The command does not support -retry option:{command.name}", "only status and get do")
    try:
        connection = resolve(words.options, environment, is_needed=command.needs_server)
    except OptionError:
        if command.passes_on and words.parameters == [HELP]:
            raise Printout(_help(words), 0) from None  # no server whose program could want it
        raise
    form = _checked_form(command, words)
    connection.check_kind(command, form)
    return Request(
        connection=connection,
        retries=_retries(words) if command.retries else 0,
        debug="debug" in words.options,
        command=command,
        form=form,
        parameters=words.parameters,
        wait=WAIT in words.switches or command.always_waits,
        switches=frozenset(words.switches),
    )


def _help(words: Words) -> str:
    from walbc.help import command_help, main_help

    if words.command is None:
        return main_help()
    form = selected(words.command, words.parameters) if words.command.forms and words.parameters else None
    return command_help(words.command, form)


def _retries(words: Words) -> int:
    from walbd.model.size import parse_option_int

    return parse_option_int(words.options["retry"]) if "retry" in words.options else DEFAULT_RETRIES


def _checked_form(command: Command, words: Words) -> Command:
    """The row that describes the parameters, which are in order, as are the switches."""
    if WAIT in words.switches and not command.waits:
        raise OptionError(f"bad opt:{WAIT}", f"{command.name} is answered when it is done")
    if ONCE in words.switches and ONCE not in command.switches:
        raise OptionError(f"bad opt:{ONCE}", "only top knows it")
    try:
        check_parameters(command, words.parameters)
    except OptionError as error:
        raise OptionError(str(error), error.hint or _usage(command, words)) from error
    form = selected(command, words.parameters)
    if JSON in words.switches and not form.shape:
        raise OptionError(f"bad opt:{JSON}", f"{command.name} answers nothing that could be written so")
    return form


def _usage(command: Command, words: Words) -> str:
    form = selected(command, words.parameters)
    name = command.name if form is command else f"{command.name} {form.name}"
    return f"usage: walbc {name} {usage(form.parameters)}".rstrip()
