"""Progress displays on a clock that stands still unless told otherwise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from walbd.net.messages import Progress
from walbd.world.progress import Bar, Display, Lines, format_amount, format_duration

MIB = 1 << 20


class Screen:
    """A clock and what was written."""

    def __init__(self, columns: int = 80) -> None:
        self.now = 1000.0
        self.columns = columns
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text

    def bar(self) -> Bar:
        return Bar("restore vol0", self.write, lambda: self.now, lambda: self.columns)

    def lines(self) -> Lines:
        return Lines("restore vol0", self.write, lambda: self.now)

    def report(
        self, display: Display, after_sec: float, done: int, total: int = 100 * MIB, phase: str = "copy"
    ) -> None:
        self.now += after_sec
        display.show(Progress(done, total, "bytes", phase))


def test_plain_lines_come_at_most_every_few_seconds_plus_the_last() -> None:
    screen = Screen()
    display = screen.lines()
    for second in range(13):
        screen.report(display, 1 if second else 0, second * MIB)
    display.finish("done")
    assert screen.text.splitlines() == [
        "restore vol0: copy 0%, 0 B/100.0 MiB",
        "restore vol0: copy 5%, 5.0 MiB/100.0 MiB, 1.0 MiB/s, 1:35 left",
        "restore vol0: copy 10%, 10.0 MiB/100.0 MiB, 1.0 MiB/s, 1:30 left",
        "restore vol0: done, 12.0 MiB in 0:12",
    ]


def test_work_without_phases_is_shown_without_gaps() -> None:
    lines, bar = Screen(), Screen(columns=60)
    lines.report(lines.lines(), 0, MIB, phase="")
    bar.report(bar.bar(), 0, MIB, phase="")
    assert lines.text == "restore vol0: 1%, 1.0 MiB/100.0 MiB\n"
    assert bar.text.endswith("]   1% 1.0 MiB/100.0 MiB\x1b[K")


def test_a_bar_shows_phase_share_amount_rate_and_remaining_time() -> None:
    screen = Screen(columns=120)
    display = screen.bar()
    screen.report(display, 0, 0)
    screen.text = ""
    screen.report(display, 10, 50 * MIB)
    bar = "#" * 20 + "-" * 20
    assert screen.text == (f"\rrestore vol0: [{bar}]  50% 50.0 MiB/100.0 MiB, 5.0 MiB/s, 0:10 left, copy\x1b[K")


def test_a_bar_is_redrawn_at_most_ten_times_a_second_and_ends_with_its_last_state() -> None:
    screen = Screen()
    display = screen.bar()
    for step in range(101):
        screen.report(display, 0.01, step * MIB)
    assert screen.text.count("\r") <= 11
    display.finish("done")
    assert "100.0 MiB/100.0 MiB" in screen.text.splitlines()[-2]
    assert screen.text.endswith("restore vol0: done, 100.0 MiB in 0:01\n")


def test_the_rate_is_that_of_the_last_seconds_and_of_one_phase() -> None:
    screen = Screen()
    display = screen.lines()
    screen.report(display, 0, 0)
    screen.report(display, 100, 1 * MIB)
    for _ in range(3):
        screen.report(display, 5, 0)
    screen.text = ""
    screen.report(display, 5, 50 * MIB)
    assert "MiB/s" in screen.text
    screen.text = ""
    screen.report(display, 5, 60 * MIB, phase="sync")
    assert screen.text == "restore vol0: sync 60%, 60.0 MiB/100.0 MiB\n"


def test_in_a_narrow_terminal_the_phase_is_cut_before_the_figures() -> None:
    screen = Screen(columns=80)
    display = screen.bar()
    screen.report(display, 0, 0, phase="copying the whole volume")
    screen.text = ""
    screen.report(display, 10, 50 * MIB, phase="copying the whole volume")
    figures = "50.0 MiB/100.0 MiB, 5.0 MiB/s, 0:10 left"
    assert screen.text == f"\rrestore vol0: [#####-----]  50% {figures}, copyi\x1b[K"


def test_an_unknown_total_shows_neither_bar_nor_share() -> None:
    screen = Screen()
    display = screen.bar()
    screen.report(display, 0, 3 * MIB, total=0)
    assert screen.text == "\rrestore vol0: 3.0 MiB, copy\x1b[K"


def test_control_characters_of_a_server_do_not_reach_the_terminal() -> None:
    screen = Screen()
    screen.report(screen.lines(), 0, 1, phase="a\x1b[2Jb\n")
    assert screen.text.startswith("restore vol0: a\\x1b[2Jb\\n ")


def test_work_without_reports_has_only_its_last_line() -> None:
    for make in (Screen.bar, Screen.lines):
        screen = Screen()
        display = make(screen)
        screen.now += 61
        display.finish("failed")
        assert screen.text == "restore vol0: failed in 1:01\n"


@given(st.integers(1, 300), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.text(max_size=64))
def test_a_bar_never_fills_the_last_column(columns: int, done: int, total: int, phase: str) -> None:
    screen = Screen(columns)
    display = screen.bar()
    screen.report(display, 0, 0, total, phase)
    screen.report(display, 1, done, total, phase)
    for drawn in screen.text.split("\r")[1:]:
        assert len(drawn.removesuffix("\x1b[K")) < columns


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, "bytes", "0 B"),
        (1023, "bytes", "1023 B"),
        (1024, "bytes", "1.0 KiB"),
        (1536 * MIB, "bytes", "1.5 GiB"),
        (2**64 - 1, "bytes", "16.0 EiB"),
        (7, "diffs", "7 diffs"),
        (0.5, "", "0"),
    ],
)
def test_amounts_are_written_for_people(value: float, unit: str, text: str) -> None:
    assert format_amount(value, unit) == text


@pytest.mark.parametrize(("sec", "text"), [(0.4, "0:00"), (59.6, "1:00"), (754, "12:34"), (3723, "1:02:03")])
def test_durations_are_written_for_people(sec: float, text: str) -> None:
    assert format_duration(sec) == text
