"""Plays pages of the guide: every command really, every line compared."""

from __future__ import annotations

import io
import os
import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.guide.expected import Comparison, Examples
from tests.guide.page import GUIDE, Command, Example, File, Page, PageError, read_page
from tests.guide.place import Place
from tests.guide.shell import Shell

ASKS_STATUS = "echo $?"
SHOWS_PROGRESS = "--wait"
# On a terminal progress is a bar that goes away; here it is a line now and then when the machine is slow.
PROGRESS = re.compile(r"[\w-]+ \S+: (?!done|failed|interrupted)")


def play(*names: str, folder: Path = GUIDE, prepare: Callable[[Path], None] | None = None) -> None:
    """Plays pages in one group, each after the page it begins with; raises PageError that shows where page and programs
    differ. `prepare` puts what a page finds into /var/walb."""
    place = Place()
    try:
        if prepare:
            prepare(Path(place.real("/var/walb")))
        with Shell(place) as shell:
            player = _Player(place, shell)
            for page in pages_to_play(names, folder):
                player.play(page)
    finally:
        place.remove()


def pages_to_play(names: Sequence[str], folder: Path = GUIDE) -> list[Page]:
    """Those pages, and before each the one it begins with, unless that has been played already."""
    pages: list[Page] = []
    for name in names:
        page = read_page(folder / name)
        if page.begins_where and page.begins_where not in [before.name for before in pages]:
            pages += pages_to_play([page.begins_where], folder)
        pages.append(page)
    return pages


class _Player:
    def __init__(self, place: Place, shell: Shell) -> None:
        self._place = place
        self._shell = shell
        self._names: dict[str, Any] = {}
        self._examples = Examples()

    def play(self, page: Page) -> None:
        self._examples = Examples()
        for step, following in zip(page.steps, [*page.steps[1:], None], strict=True):
            where = f"docs/guide/{page.name}:{step.line}"
            if isinstance(step, File):
                Path(self._place.real(step.path)).write_text(self._place.real(step.content))
            elif isinstance(step, Command):
                asks = isinstance(following, Command) and following.text == ASKS_STATUS
                self._command(where, step, may_fail=asks)
            else:
                self._example(where, step)

    def _command(self, where: str, step: Command, *, may_fail: bool) -> None:
        try:
            lines, status = self._shell.run(step.text)
        except TimeoutError as error:
            raise PageError(f"{where}: $ {step.text}\n{error}") from error
        if SHOWS_PROGRESS in step.text:
            lines = [line for line in lines if not PROGRESS.match(line)]
        self._compare(where, f"$ {step.text}", step, lines)
        if status and not may_fail:
            raise PageError(_report(where, f"$ {step.text}", step.expected, lines, f"exit status {status}"))

    def _example(self, where: str, step: Example) -> None:
        output = io.StringIO()
        failed = ""
        with _environment(self._place.environment()), redirect_stdout(output), redirect_stderr(output):
            try:
                exec(compile(self._place.real(step.source), where, "single"), self._names)
            except Exception as error:
                failed = "".join(traceback.format_exception_only(error))
        lines = self._place.shown(output.getvalue()).splitlines()
        if failed and step.error is None:
            raise PageError(_report(where, f">>> {step.source}", step.expected, lines, failed))
        if step.error is None:
            self._compare(where, f">>> {step.source}", step, lines)
        elif Comparison("", step.error.splitlines(), self._place.shown(failed).splitlines(), Examples()).difference:
            raise PageError(_report(where, f">>> {step.source}", [step.error], [failed], "another error"))

    def _compare(self, where: str, what: str, step: Command | Example, lines: list[str]) -> None:
        comparison = Comparison(what, step.expected, lines, self._examples)
        if comparison.difference:
            raise PageError(_report(where, what, step.expected, lines, comparison.difference))
        self._examples = comparison.examples


def _environment(values: Mapping[str, str]) -> Any:
    return patch.dict(os.environ, values)


def _report(where: str, what: str, shown: list[str], real: list[str], difference: str) -> str:
    def indented(lines: list[str]) -> str:
        return "".join(f"    {line}\n" for line in lines) or "    (nothing)\n"

    return f"{where}: {what}\n{difference}\n  the page shows\n{indented(shown)}  the programs printed\n{indented(real)}"
