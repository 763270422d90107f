"""The display of accepted work on stderr."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from walbc import console
from walbc.options import Request
from walbd.model.error import WalbError, one_line
from walbd.net.messages import Progress
from walbd.world.progress import Bar, Display, Lines


class Waiting:
    """Before the work is accepted there is nothing to show; unless it was asked for, nothing is ever shown."""

    def __init__(self, title: str, is_wanted: bool) -> None:
        self._title = title
        self._is_wanted = is_wanted
        self._display: Display | None = None
        self.is_accepted = False

    def begin(self) -> None:
        self.is_accepted = True
        if not self._is_wanted:
            return
        if console.is_terminal():
            self._display = Bar(self._title, console.write_message, time.monotonic, console.columns)
        else:
            self._display = Lines(self._title, console.write_message, time.monotonic)

    def show(self, latest: Progress) -> None:
        if self._display:
            self._display.show(latest)

    def end(self, outcome: str) -> None:
        if self._display:
            self._display.finish(outcome)


@contextmanager
def shown(request: Request) -> Iterator[Waiting]:
    """The display of one attempt at a request; how it ended is shown too."""
    waiting = Waiting(one_line(" ".join([request.command.name, *request.parameters[:1]])), request.is_shown)
    try:
        yield waiting
    except WalbError:
        waiting.end("failed")
        raise
    except KeyboardInterrupt:
        waiting.end("interrupted, the server goes on")
        raise
    waiting.end("done")
