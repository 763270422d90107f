"""Numbers and sizes as operators write and read them.

Three syntaxes exist side by side, as in the reference: plain numbers, SIZE (powers of 1024) and server options.
"""

from __future__ import annotations

import re

from walbd.model.error import InvalidArgument
from walbd.model.limits import UINT64_MAX

_DIGITS = re.compile(r"[0-9]{1,20}")
_SIZE = re.compile(r"([0-9]{1,20})([kmgtpeKMGTPE]?)")
_OPTION = re.compile(r"([0-9]{1,20})([kmgKMG]?)|0[xX]([0-9a-fA-F]{1,16})")
_SIZE_UNITS = "kmgtpe"
_OPTION_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_PRINTED_UNITS = "kmgtpezy"


def _uint64(value: int, text: str) -> int:
    if value > UINT64_MAX:
        raise InvalidArgument(f"number too large:{text}", f"use up to {UINT64_MAX}")
    return value


def parse_uint(text: str) -> int:
    """An unsigned 64-bit decimal (gid, lsid, seconds); raises InvalidArgument."""
    if not _DIGITS.fullmatch(text):
        raise InvalidArgument(f"not a number:{text[:80]}", "write digits only")
    return _uint64(int(text), text)


def parse_size(text: str) -> int:
    """Bytes of a SIZE (walbc.md section 4): decimal and at most one letter of `k m g t p e`, either case, powers of
    1024; raises InvalidArgument."""
    match = _SIZE.fullmatch(text)
    if not match:
        raise InvalidArgument(f"bad size:{text[:80]}", "write digits and at most one letter of k m g t p e")
    number, unit = match.groups()
    return _uint64(int(number) << 10 * (_SIZE_UNITS.index(unit.lower()) + 1 if unit else 0), text)


def parse_option_int(text: str) -> int:
    """The integer of a server option (servers.md section 2.2): decimal, `0x` hex, or decimal with one of `k m g`
    (powers of 1000) or `K M G` (powers of 1024); raises InvalidArgument."""
    match = _OPTION.fullmatch(text)
    if not match:
        raise InvalidArgument(
            f"bad number:{text[:80]}",
            "write digits, with k m g (1000) or K M G (1024) at the end, or 0x and hex digits",
        )
    number, unit, hexadecimal = match.groups()
    return _uint64(int(number) * _OPTION_UNITS[unit] if number else int(hexadecimal, 16), text)


def format_size(size_bytes: int) -> str:
    """The size as status shows it (servers.md section 6): divided by 1024 as long as that leaves no remainder, and the
    letter: 8388608 is `8m`, 1500 is `1500`, 0 is `0`."""
    unit = ""
    for letter in _PRINTED_UNITS:
        if size_bytes == 0 or size_bytes % 1024:
            break
        size_bytes //= 1024
        unit = letter
    return f"{size_bytes}{unit}"
