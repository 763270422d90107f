"""The progress bar of long work."""

from __future__ import annotations

import io

import pytest

from walbd.tools import work


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run(monkeypatch: pytest.MonkeyPatch, stderr: io.StringIO, times: list[float]) -> str:
    monkeypatch.setattr(work.sys, "stderr", stderr)
    clock = iter(times)
    with work.shown("title", 1000, lambda: next(clock, times[-1])) as show:
        for done in range(0, 1001, 100):
            show(done)
    return stderr.getvalue()


def test_a_bar_comes_when_work_on_a_terminal_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    text = run(monkeypatch, Terminal(), [float(i) for i in range(100)])
    assert "100% 1000 B/1000 B" in text and text.endswith("\n")


def test_short_work_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, Terminal(), [0.0]) == ""


def test_nothing_is_shown_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, io.StringIO(), [float(i) for i in range(100)]) == ""
