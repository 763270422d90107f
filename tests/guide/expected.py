"""Compares what a command printed with what the page shows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

ELISION = "..."
# What differs from run to run. A page shows an example; any other value of the same form will do.
TIME = r"20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{3})?|\b20\d{12}\b"
# The same here: but what is equal in a block of the page has to be equal, and what differs there has to differ.
SUM = r"\b(?:[0-9a-f]{64}|[0-9a-f]{32})\b"
# As sums, and a later gid of the page has to be a later one.
GID = r"(?<=\|)\d+(?=[,|])|(?<=,)\d+(?=\|)|(?<=gid:)\d+|(?<=gid=)\d+|^\d+(?= 20\d\d-)|(?<=/wr_v\d_)\d+"
# The output of these commands is gids, one on a line.
GID_COMMANDS = re.compile(r"\bsnapshot\b|get restored \w+$|echo \$\w*gid\b")
GID_LINE = r"^\d+$"


class Examples:
    """Which values stand for those that the page shows, in one block."""

    def __init__(self) -> None:
        self._real: dict[tuple[str, str], str] = {}

    def agree(self, kind: str, shown: str, real: str) -> bool:
        """Takes note of a pair; False if it contradicts earlier ones."""
        known = {old: value for (of, old), value in self._real.items() if of == kind}
        if shown in known:
            return known[shown] == real
        if kind == "gid":
            if any((int(shown) > int(old)) != (int(real) > int(value)) for old, value in known.items()):
                return False
        elif real in known.values():
            return False
        self._real[kind, shown] = real
        return True


def first_difference(command: str, shown: Sequence[str], real: Sequence[str], examples: Examples) -> str | None:
    """None if all lines agree, else what does not, as a text of two lines."""
    gid_lines = bool(GID_COMMANDS.search(command))
    at = 0
    for index, line in enumerate(shown):
        if line.strip() == ELISION:
            rest = shown[index + 1 :]
            if not rest:
                return None
            # Up to the first line that the next line of the page fits.
            while at < len(real) and not _fits(rest[0], real[at], Examples(), gid_lines):
                at += 1
            continue
        if at == len(real):
            return f"expected: {line}\n     got: (nothing more)"
        if not _fits(line, real[at], examples, gid_lines):
            return f"expected: {line}\n     got: {real[at]}"
        at += 1
    return None if at == len(real) else f"expected: (nothing more)\n     got: {real[at]}"


def _fits(shown: str, real: str, examples: Examples, gid_lines: bool) -> bool:
    parts = list(_parts(shown, gid_lines))
    found = re.fullmatch("".join(pattern for _, pattern, _ in parts), real)
    if not found:
        return False
    variable = [(kind, text) for kind, _, text in parts if kind in ("sum", "gid")]
    return all(examples.agree(kind, text, value) for (kind, text), value in zip(variable, found.groups(), strict=True))


def _parts(shown: str, gid_lines: bool) -> Iterator[tuple[str, str, str]]:
    """(kind, pattern, text) of each piece of a line of the page."""
    gid = f"{GID_LINE}|{GID}" if gid_lines else GID
    kinds = f"(?P<elision>{re.escape(ELISION)})|(?P<time>{TIME})|(?P<sum>{SUM})|(?P<gid>{gid})"
    end = 0
    for found in re.finditer(kinds, shown):
        yield "plain", re.escape(shown[end : found.start()]), ""
        kind = str(found.lastgroup)
        yield kind, {"elision": ".*", "time": f"(?:{TIME})", "sum": f"({SUM})", "gid": r"(\d+)"}[kind], found.group()
        end = found.end()
    yield "plain", re.escape(shown[end:]), ""
