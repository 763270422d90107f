"""Command lines of the daemons (servers.md section 2.2): a settings class is the table, `parse` fills it.

Each field of a settings class is declared with `option(...)`; the parser, the help text and the dump in the log are
made from these declarations. Outcomes: a wrong *form* raises OptionError (one line plus help on stdout, exit 1), a
wrong *content* raises InvalidArgument (`<Kind>Server: error: ...` on stderr, exit 1), `-h` raises HelpWanted (exit 0).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, Self, TypeVar

from walbd.model.address import Address
from walbd.model.compression import CompressOpt
from walbd.model.error import InvalidArgument, one_line
from walbd.model.size import parse_option_int

MAX_PORT = 65535
_METADATA = "walb option"


class Kind(Enum):
    """What the text after an option must look like; the value is the word shown for it in the help text."""

    INTEGER = "N"
    PORT = "PORT"
    REAL = "SEC"
    TEXT = "TEXT"
    SWITCH = ""
    ADDRESS = "HOST:PORT"
    ADDRESS_LIST = "HOST:PORT[,HOST:PORT...]"
    COMPRESS = "TYPE:LEVEL:THREADS"


Check = Callable[[str, Any], None]
"""Validates the value of the option of that name; raises InvalidArgument."""


@dataclass(frozen=True)
class Option:
    """One row: `-name`, what it takes, its default (text for addresses and compression) and what it is for."""

    name: str
    kind: Kind
    default: Any
    help: str
    word: str
    must: bool
    check: Check | None

    @property
    def form(self) -> str:
        """How it is written: `-p PORT`."""
        return f"-{self.name} {self.word}".rstrip()

    @property
    def explanation(self) -> str:
        """What it is for, and what holds without it."""
        has_default = not self.must and self.kind is not Kind.SWITCH and self.default != ""
        default = f" (default {_text(self.default)})" if has_default else ""
        return f"{self.help}{default}{' (must)' if self.must else ''}"


class OptionError(InvalidArgument):
    """The command line is not well formed; the message is what follows `OptionError:`."""


class HelpWanted(Exception):
    """`-h` was given."""


def option(
    name: str, kind: Kind, default: Any, help: str, *, word: str = "", must: bool = False, check: Check | None = None
) -> Any:
    """Declares a field of a settings class; `word` replaces the kind's word in the help text (SEC, PATH ...)."""
    row = Option(name, kind, default, help, word or kind.value, must, check)
    return dataclasses.field(default=_converted_default(row), metadata={_METADATA: row})


def at_least(low: int) -> Check:
    """A check that refuses values below `low`."""
    return in_range(low, 2**63 - 1)


def in_range(low: float, high: float) -> Check:
    """A check that refuses values outside low..high."""

    def check(name: str, value: float) -> None:
        if not low <= value <= high:
            limits = f"at least {low:g}" if high >= 2**63 - 1 else f"in {low:g}..{high:g}"
            raise InvalidArgument(f"bad value of -{name}:{value:g}", f"it must be {limits}")

    return check


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Base of the settings classes. `given` holds the names that stood on the command line."""

    ignored: ClassVar[Mapping[str, Kind]] = {}
    """Historic options that are accepted and have no effect."""

    given: frozenset[str] = frozenset()

    @classmethod
    def options(cls) -> list[tuple[str, Option]]:
        """(field name, option) of every declared option, in order of declaration."""
        return [(f.name, f.metadata[_METADATA]) for f in dataclasses.fields(cls) if _METADATA in f.metadata]

    def check(self) -> None:
        """Content rules that span several options; raises InvalidArgument."""

    def adjusted(self) -> tuple[Self, list[str]]:
        """The settings with tolerable values corrected, and a warning for each correction."""
        return self, []

    def dump(self) -> list[str]:
        """`name=value (set|default)`, a line for each option (servers.md section 2.4)."""
        return [
            f"{row.name}={_text(getattr(self, field))} ({'set' if row.name in self.given else 'default'})"
            for field, row in self.options()
            if not row.name.startswith("-")  # --check, with which nothing is logged
        ]


S = TypeVar("S", bound=Settings)


def parse(settings_class: type[S], arguments: Sequence[str]) -> S:
    """The settings a command line asks for. Raises HelpWanted, OptionError or InvalidArgument, in this order of
    precedence, as the module docstring says."""
    rows = {row.name: (field, row) for field, row in settings_class.options()}
    texts = _words(arguments, {name: row.kind for name, (_, row) in rows.items()} | dict(settings_class.ignored))
    values: dict[str, Any] = {}
    for name, text in texts.items():
        if name in rows:
            field, row = rows[name]
            values[field] = _convert(row, text)
    for name, (_, row) in rows.items():
        if row.must and name not in texts:
            raise OptionError(f"opt is necessary:{name}")
    for name in texts.keys() & rows.keys():
        field, row = rows[name]
        if row.check:
            row.check(name, values[field])
    settings = settings_class(**values, given=frozenset(texts.keys() & rows.keys()))
    settings.check()
    return settings


def synopsis(settings_class: type[Settings], program: str) -> str:
    """How the program is called."""
    return " ".join([program, *(row.form for _, row in settings_class.options() if row.must), "[OPTIONS]"])


def help_text(settings_class: type[Settings], program: str, version_line: str) -> str:
    """What `-h` prints."""
    lines = [version_line, "", f"usage: {synopsis(settings_class, program)}", "  -h : print this help"]
    return "\n".join([*lines, *(f"  {row.form} : {row.explanation}" for _, row in settings_class.options())])


def _words(arguments: Sequence[str], kinds: Mapping[str, Kind]) -> dict[str, str]:
    """Option name -> text of its last occurrence."""
    texts: dict[str, str] = {}
    words = iter(arguments)
    for word in words:
        if not word.startswith("-") or word[1:2].isdigit():
            raise OptionError(f"redundant argVal:{word}")
        name = word[1:]
        if name == "h":
            raise HelpWanted
        if name not in kinds:
            raise OptionError(f"bad opt:{word}")
        text = "" if kinds[name] is Kind.SWITCH else next(words, None)
        if text is None:
            raise OptionError(f"bad value:no value for {word}")
        texts[name] = text
    return texts


def _convert(row: Option, text: str) -> Any:
    try:
        match row.kind:
            case Kind.INTEGER:
                return parse_option_int(text)
            case Kind.PORT:
                return _port(text)
            case Kind.REAL:
                return _real(text)
    except (InvalidArgument, ValueError) as error:
        raise OptionError(f"bad value:{one_line(text)} for -{row.name}") from error
    return _content(row, text)


def _content(row: Option, text: str) -> Any:
    """Kinds whose form is free and whose content may be wrong."""
    try:
        match row.kind:
            case Kind.SWITCH:
                return True
            case Kind.ADDRESS:
                return Address.parse(text)
            case Kind.ADDRESS_LIST:
                return tuple(Address.parse(part) for part in text.split(","))
            case Kind.COMPRESS:
                return CompressOpt.parse(text)
    except InvalidArgument as error:
        raise InvalidArgument(f"-{row.name}: {error.message}", error.hint) from error
    return text


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text[:9]) > MAX_PORT:
        raise InvalidArgument(f"not a port number:{text}")
    return int(text)


def _real(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise InvalidArgument(f"not a number:{text}")
    return value


def _converted_default(row: Option) -> Any:
    return _content(row, row.default) if isinstance(row.default, str) and not row.must else row.default


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value)
