"""The command lines of walb-device and wdevc: `-name value` and bare switches (servers.md section 2.2)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

_NUMBER = re.compile(r"(?:0[xX]([0-9a-fA-F]{1,16})|([0-9]{1,20})([kmgKMG]?))")
_FACTORS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "K": 2**10, "M": 2**20, "G": 2**30}


class OptionError(Exception):
    """A command line that does not fit: `reason:detail`."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its name without the dash, the word for its value ('' for a switch), its text for -h."""

    name: str
    value: str
    text: str
    default: str | None = None
    is_necessary: bool = False

    def help_line(self) -> str:
        """Its line in the help."""
        word = f" {self.value}" if self.value else ""
        default = f" (default {self.default})" if self.default is not None else ""
        return f"  -{self.name}{word} : {self.text}{default}{' (must)' if self.is_necessary else ''}"


@dataclass(slots=True)
class Arguments:
    """What a command line says."""

    values: dict[str, str] = field(default_factory=dict)
    positional: list[str] = field(default_factory=list)

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def get(self, name: str) -> str:
        """The value of an option that was given or has a default."""
        return self.values[name]


HELP = Option("h", "", "show this help")


def parse_arguments(
    words: Sequence[str], options: Sequence[Option], min_words: int = 0, max_words: int = 0
) -> Arguments:
    """Takes options in any order (the last of a name wins) between min_words and max_words positional words. A word
    that begins with a dash and a digit is a value. Raises OptionError."""
    known = {option.name: option for option in options}
    result = Arguments({option.name: option.default for option in options if option.default is not None})
    rest = iter(words)
    for word in rest:
        if not re.match(r"-[^0-9]", word):
            if len(result.positional) == max_words:
                raise OptionError(f"redundant argVal:{word}")
            result.positional.append(word)
            continue
        option = known.get(word[1:])
        if option is None:
            raise OptionError(f"bad opt:{word}")
        value = next(rest, None) if option.value else ""
        if value is None:
            raise OptionError(f"bad value:{word}")
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
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise OptionError(f"bad value:{text}")
    value = int(match[1], 16) if match[1] else int(match[2]) * _FACTORS[match[3]]
    if value >= 2**64:
        raise OptionError(f"bad value:{text}")
    return value
