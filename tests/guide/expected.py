"""Compares what a command printed with what the page shows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

ELISION = "..."
# What differs from run to run. A page shows an example; any other value of the same form will do.
TIME = r"20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{3}(?:\d{3})?)?|\b20\d{12}\b"
# The same here: but what is equal on a page has to be equal, and what differs there has to differ.
SUM = r"\b(?:[0-9a-f]{64}|[0-9a-f]{32})\b"
# As sums, and a later gid of the page has to be a later one.
GID = r"(?<=\|)\d+(?=[,|])|(?<=,)\d+(?=\|)|(?<=gid:)\d+|(?<=gid=)\d+|^\d+(?= 20\d\d-)|(?<=/wr_v\d_)\d+"
# The output of these commands is gids, one on a line.
GID_COMMANDS = re.compile(r"\bsnapshot\b|get restored \w+$|echo \$\w*gid\b")
GID_LINE = r"^\d+$"


class Examples:
    """Which values stand for those that a page shows."""

    def __init__(self, real: Mapping[tuple[str, str], str] | None = None) -> None:
        self._real = dict(real or {})

    def copy(self) -> Examples:
        """The same so far."""
        return Examples(self._real)

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


class Comparison:
    """What a command printed against what the page shows. `difference` is None if all agrees; then `examples` know
    the new values."""

    def __init__(self, command: str, shown: Sequence[str], real: Sequence[str], examples: Examples) -> None:
        self._shown, self._real = shown, real
        self._gid_lines = bool(GID_COMMANDS.search(command))
        self._furthest = (-1, -1)
        self.difference: str | None = None
        found = self._match(0, 0, examples)
        self.examples = found or examples
        if not found:
            at_shown, at_real = self._furthest
            wanted = shown[at_shown] if at_shown < len(shown) else "(nothing more)"
            got = real[at_real] if at_real < len(real) else "(nothing more)"
            self.difference = f"expected: {wanted}\n     got: {got}"

    def _match(self, at_shown: int, at_real: int, examples: Examples) -> Examples | None:
        """Compares the rest; what the examples stand for then, or None."""
        shown, real = self._shown, self._real
        if at_shown == len(shown) and at_real == len(real):
            return examples
        if at_shown < len(shown) and shown[at_shown].strip() == ELISION:
            ways = (self._match(at_shown + 1, end, examples) for end in range(at_real, len(real) + 1))
            return next((found for found in ways if found), None)
        trial = examples.copy()
        ends = at_shown == len(shown) or at_real == len(real)
        if not ends and _fits(shown[at_shown], real[at_real], trial, self._gid_lines):
            return self._match(at_shown + 1, at_real + 1, trial)
        self._furthest = max(self._furthest, (at_shown, at_real))
        return None


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
