"""Command lines: `-name value`, bare switches and lists (servers.md section 2.2, wdiff-format.md section 13.1)."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from walbd.model.error import InvalidArgument, one_line
from walbd.model.size import parse_option_int

_OPTION = re.compile(r"-[^0-9]")


class OptionError(Exception):
    """A command line that does not fit: `reason:detail`."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its name without the dash, the word for its value ('' for a switch), its text for -h. The value of a
    list is all words up to the next option."""

    name: str
    value: str
    text: str
    default: str | None = None
    is_necessary: bool = False
    is_list: bool = False

    @property
    def form(self) -> str:
        """How it is written: `-o PATH`."""
        return f"-{self.name} {self.value}{'...' * self.is_list}" if self.value else f"-{self.name}"

    @property
    def explanation(self) -> str:
        """What it is for, and what holds without it."""
        default = f" (default {self.default})" if self.default is not None else ""
        return f"{self.text}{default}{' (must)' if self.is_necessary else ''}"

    def help_line(self) -> str:
        """Its line in the help."""
        return f"  {self.form} : {self.explanation}"


@dataclass(slots=True)
class Arguments:
    """What a command line says."""

    values: dict[str, str] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)
    positional: list[str] = field(default_factory=list)

    def __contains__(self, name: str) -> bool:
        return name in self.values or name in self.lists

    def get(self, name: str) -> str:
        """The value of an option that was given or has a default."""
        return self.values[name]

    def number(self, name: str) -> int:
        """The value of such an option as a number; raises OptionError."""
        return parse_number(self.values[name])


class _Words(Iterator[str]):
    """The words not yet taken."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = list(reversed(words))

    def __next__(self) -> str:
        if not self._words:
            raise StopIteration
        return self._words.pop()

    def take_values(self) -> list[str]:
        """Everything before the next option."""
        taken = []
        while self._words and not _OPTION.match(self._words[-1]):
            taken.append(self._words.pop())
        return taken


HELP = Option("h", "", "show this help")


def parse_arguments(
    words: Sequence[str], options: Sequence[Option], min_words: int = 0, max_words: int = 0
) -> Arguments:
    """Takes options in any order (the last of a name wins) between min_words and max_words positional words. A word
    that begins with a dash and a digit is a value. Raises OptionError."""
    known = {option.name: option for option in options}
    result = Arguments({option.name: option.default for option in options if option.default is not None})
    rest = _Words(words)
    for word in rest:
        if not _OPTION.match(word):
            if len(result.positional) == max_words:
                raise OptionError(f"redundant argVal:{word}")
            result.positional.append(word)
            continue
        option = known.get(word[1:])
        if option is None:
            raise OptionError(f"bad opt:{word}")
        if option.is_list:
            result.lists[option.name] = rest.take_values()
        value = next(rest, None) if option.value and not option.is_list else ""
        if value is None or result.lists.get(option.name) == []:
            raise OptionError(f"bad value:{word}")
        if not option.is_list:
            result.values[option.name] = value
    for option in options:
        if option.is_necessary and option.name not in result:
            raise OptionError(f"opt is necessary:{option.name}")
    if len(result.positional) < min_words:
        raise OptionError("arg is necessary")
    return result


def is_help_asked(words: Sequence[str]) -> bool:
    """True when -h is among the words."""
    return "-h" in words


def parse_number(text: str) -> int:
    """Decimal, 0x hex, or decimal with k m g (powers of 1000) or K M G (powers of 1024); below 2^64."""
    try:
        return parse_option_int(text)
    except InvalidArgument as error:
        raise OptionError(f"bad value:{text}") from error


def report(program: str, text: str, level: str = "ERROR") -> None:
    """Writes one line of a log to stderr, as all programs of the reference do: time (UTC), level, program, text."""
    now = datetime.now(UTC)
    time = f"{now:%Y-%m-%d %H:%M:%S}.{now.microsecond // 1000:03d}"
    print(f"{time} {level} {program}:{one_line(text)}", file=sys.stderr)


def report_misuse(text: str, hint: str) -> None:
    """Writes to stderr, in one line, why a command line does not fit."""
    print(f"OptionError:{one_line(f'{text} (hint: {hint})')}", file=sys.stderr)
