"""The page on a terminal, with curses: drawn again each second; arrows scroll, q ends."""

from __future__ import annotations

import curses
from collections.abc import Callable, Sequence

from walbc.top.page import Line, Style

_PERIOD_MS = 1000
_END_KEYS = (ord("q"), ord("Q"), 27)


def show(page: Callable[[int], Sequence[Line]]) -> None:
    """Shows pages until q; `page` is asked for lines of a width."""
    curses.wrapper(_loop, page)


def _loop(window: curses.window, page: Callable[[int], Sequence[Line]]) -> None:
    styles = _styles()
    window.timeout(_PERIOD_MS)
    first = 0
    while True:
        rows, columns = window.getmaxyx()
        lines = page(columns)
        first = max(0, min(first, len(lines) - rows))
        _draw(window, visible(lines, first, rows), styles)
        key = window.getch()
        if key in _END_KEYS:
            return
        first += {curses.KEY_DOWN: 1, curses.KEY_UP: -1, curses.KEY_NPAGE: rows, curses.KEY_PPAGE: -rows}.get(key, 0)


def visible(lines: Sequence[Line], first: int, rows: int) -> list[Line]:
    """The part of the page that fits, from line `first`; the last line tells how to end and how much is hidden."""
    room = max(rows - 1, 0)
    shown = list(lines[first : first + room])
    hidden = len(lines) - first - len(shown)
    foot = f"q: quit{f'   arrows: {hidden} more lines' if hidden > 0 or first else ''}"
    return [*shown, *[Line("")] * (room - len(shown)), Line(foot)]


def _styles() -> dict[Style, int]:
    styles = {Style.PLAIN: curses.A_NORMAL, Style.TITLE: curses.A_REVERSE, Style.ALARM: curses.A_BOLD}
    curses.curs_set(0)
    if curses.has_colors():
        curses.use_default_colors()
        curses.init_pair(1, curses.COLOR_RED, -1)
        styles[Style.ALARM] |= curses.color_pair(1)
    return styles


def _draw(window: curses.window, lines: Sequence[Line], styles: dict[Style, int]) -> None:
    window.erase()
    for row, line in enumerate(lines):
        try:
            window.addstr(row, 0, line.text, styles[line.style])
        except curses.error:
            pass  # the last cell of a window, or one that has just become smaller
    window.refresh()
