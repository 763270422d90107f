"""What a row of the command table consists of, and how a command's parameters are checked against it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from walbc.kinds import Kind
from walbc.light import NamedTuple
from walbd.model.error import InvalidArgument
from walbd.model.suggest import suggestion

KIND_NAMES = {"S": "storage", "P": "proxy", "A": "archive"}


class OptionError(Exception):
    """The command line is not well formed; the message is what follows `OptionError:`."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Parameter(NamedTuple):
    """A positional parameter. The last one may repeat."""

    name: str
    kind: Kind
    is_optional: bool = False
    repeats: bool = False


class Forms(NamedTuple):
    """What the first parameter of a command selects (`get TARGET`), one row for each of its values."""

    name: str
    rows: Mapping[str, Command]
    missing: str
    unknown: str


class Command(NamedTuple):
    """One row: a command, or one form of a command.

    `kinds`: which servers know it (letters of storage, proxy, archive). `waits`: the server answers before the work is
    done, so that `--wait` means something; `always_waits`: the end of the work is waited for even without it.
    `program`: the module whose `run` carries it out, where that is more than one question and its answer. `retries`:
    `-retry` is allowed. `passes_on`: parameters are not looked at. `shape`: of the answer as JSON (walbc.shapes).
    `needs_server`: it is sent to one. `switches`: of its own, besides those that follow from the above. `check`: a
    rule that spans several parameters; raises InvalidArgument.
    """

    name: str
    explanation: str
    parameters: tuple[Parameter, ...] = ()
    kinds: str = "SPA"
    waits: bool = False
    always_waits: bool = False
    program: str = ""
    retries: bool = False
    passes_on: bool = False
    forms: Forms | None = None
    shape: str = ""
    needs_server: bool = True
    switches: tuple[str, ...] = ()
    check: Callable[[Sequence[str]], None] | None = None


def usage(parameters: Sequence[Parameter]) -> str:
    """The parameters as the help shows them: `VOL NAME [CMPR [DELAY]]`."""
    if not parameters:
        return ""
    first, rest = parameters[0], usage(parameters[1:])
    text = f"{first.name} ..." if first.repeats else first.name
    text = f"{text} {rest}".rstrip()
    return f"[{text}]" if first.is_optional else text


def selected(command: Command, values: Sequence[str]) -> Command:
    """The row that describes the parameters: of the form that the first of them selects, or the command's own. Raises
    InvalidArgument when there is no such form."""
    if not command.forms:
        return command
    forms = command.forms
    see = f"walbc {command.name} -h lists them"
    if not values:
        raise InvalidArgument(forms.missing, see)
    if values[0] not in forms.rows:
        hint = suggestion(values[0], forms.rows, see)
        raise InvalidArgument(f"{forms.unknown}:{values[0][:80]}", hint)
    return forms.rows[values[0]]


def check_parameters(command: Command, values: Sequence[str]) -> None:
    """Raises OptionError when count or numbers are wrong, InvalidArgument when a content is."""
    _check_texts(values)
    form = selected(command, values)
    if command.forms:
        values = values[1:]
    _check_count(form.parameters, values)
    pairs = _pairs(form.parameters, values)
    for parameter, value in pairs:
        _check_form(parameter, value)
    for parameter, value in pairs:
        parameter.kind.check(value)
    if form.check:
        form.check(values)


def _check_texts(values: Sequence[str]) -> None:
    for index, value in enumerate(values):
        if not value:
            raise InvalidArgument(f"empty string:{index}", "no parameter may be empty")
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise InvalidArgument(f"not UTF-8:{index}", "write the parameter in UTF-8") from error


def _check_count(parameters: Sequence[Parameter], values: Sequence[str]) -> None:
    for parameter in parameters[len(values) :]:
        if not parameter.is_optional:
            raise OptionError(f"param is necessary:{parameter.name}")
    if len(values) > len(parameters) and not (parameters and parameters[-1].repeats):
        raise OptionError(f"redundant argVal:{values[len(parameters)]}")


def _check_form(parameter: Parameter, value: str) -> None:
    try:
        parameter.kind.form(value)
    except InvalidArgument as error:
        raise OptionError(f"bad value:{value} for {parameter.name}", error.hint) from error


def _pairs(parameters: Sequence[Parameter], values: Sequence[str]) -> list[tuple[Parameter, str]]:
    return [(parameters[min(index, len(parameters) - 1)], value) for index, value in enumerate(values)]
