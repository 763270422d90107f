"""Pieces of Markdown pages."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Protocol

WIDTH = 120
MADE = "<!-- Made by `python -m scripts.reference`; do not edit. -->"


class OptionRow(Protocol):
    """An option of one of the parsers: how it is written and what it is for."""

    @property
    def form(self) -> str:
        """`-o PATH`."""

    @property
    def explanation(self) -> str:
        """What it is for."""


def page(title: str, sections: dict[str, str]) -> str:
    """A page: heading -> text; sections without a text are left out."""
    parts = [MADE, f"# {title}"]
    for heading, text in sections.items():
        parts += [f"## {heading}", text.strip("\n")] if text else []
    return "\n\n".join(parts) + "\n"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |".replace("|  |", "| |") for row in [heads, [":--"] * len(heads), *cells])


def options_table(options: Iterable[OptionRow]) -> str:
    """A table of options, '' when there are none."""
    rows = [(code(option.form), option.explanation) for option in options]
    return table(("Option", "Meaning"), rows) if rows else ""


def code(text: str) -> str:
    """As typed."""
    return f"`{text}`"


def block(*lines: str) -> str:
    """Lines as typed."""
    return "\n".join(f"    {line}" for line in lines)


def filled(text: str) -> str:
    """A paragraph in lines of the usual length."""
    return textwrap.fill(text, WIDTH, break_on_hyphens=False, break_long_words=False)


def see_also(*names: str) -> str:
    """Links to other pages."""
    return filled(", ".join(f"[{name}]({name}.md)" for name in names) + ".")
