"""A page of the guide as what it tells its reader to do (docs/testing.md has the conventions)."""

from __future__ import annotations

import doctest
import re
from dataclasses import dataclass, field
from pathlib import Path

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide"
FENCE = "```"
BEGINS_WHERE = re.compile(r"^Begins where \[[^]]*\]\(([^)]*)\) ends\b", re.MULTILINE)
FILE_NAME = re.compile(r"# (/\S+)$")
FILE_LANGUAGES = ("toml", "yaml", "conf", "py")
NOT_RUN = "text"


class PageError(Exception):
    """A page that the runner does not understand, or that is wrong; the message names page and line."""


@dataclass(frozen=True)
class Command:
    """A command for the shell, and what it prints."""

    line: int
    text: str
    expected: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class File:
    """A file that the reader writes."""

    line: int
    path: str
    content: str


@dataclass(frozen=True)
class Example:
    """A statement of the library variant, and what it prints."""

    line: int
    source: str
    expected: list[str]
    error: str | None


Step = Command | File | Example


@dataclass(frozen=True)
class Page:
    """One page: what it begins with and its steps in order."""

    name: str
    begins_where: str | None
    steps: list[Step]


def read_page(path: Path) -> Page:
    """Parses a page; raises PageError."""
    text = path.read_text()
    found = BEGINS_WHERE.search(text)
    steps: list[Step] = []
    block: list[str] | None = None
    language, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith(FENCE):
            if block is not None:
                block.append(line)
        elif block is None:
            block, language, first = [], line[len(FENCE) :], number + 1
        else:
            steps += _steps(path.name, language, block, first)
            block = None
    if block is not None:
        raise PageError(f"{path.name}:{first}: this block has no end")
    return Page(path.name, found.group(1) if found else None, steps)


def _steps(page: str, language: str, block: list[str], first: int) -> list[Step]:
    if language == "console":
        return list(_commands(page, block, first))
    if language == "python":
        return list(_examples(block, first))
    if language in FILE_LANGUAGES:
        name = FILE_NAME.match(block[0]) if block else None
        if not name:
            raise PageError(f"{page}:{first}: a file begins with the line # /PATH")
        return [File(first, name.group(1), "\n".join(block) + "\n")]
    if language != NOT_RUN:
        raise PageError(f"{page}:{first - 1}: unknown kind of block {language!r}")
    return []


def _commands(page: str, block: list[str], first: int) -> list[Command]:
    commands: list[Command] = []
    for number, line in enumerate(block, first):
        if line.startswith("$ "):
            commands.append(Command(number, line[2:]))
        elif not commands:
            raise PageError(f"{page}:{number}: a console block begins with '$ '")
        elif line.startswith("> ") and not commands[-1].expected:
            last = commands.pop()
            commands.append(Command(last.line, f"{last.text}\n{line[2:]}"))
        else:
            commands[-1].expected.append(line)
    return commands


def _examples(block: list[str], first: int) -> list[Example]:
    return [
        Example(first + found.lineno, found.source, found.want.splitlines(), found.exc_msg)
        for found in doctest.DocTestParser().get_examples("\n".join(block) + "\n")
    ]
