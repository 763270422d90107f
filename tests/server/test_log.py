from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from walbd.model.error import StorageFailure
from walbd.server.log import Log, defect_text, open_log
from walbd.server.repeats import MAX_MESSAGES, Repeats

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} (DEBUG|INFO|WARNING|ERROR) .*")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def opened(folder: Path, clock: Clock, debug: bool = False) -> Log:
    return open_log("log", folder, debug, Repeats(clock))


def texts(path: Path) -> list[str]:
    lines = path.read_text().splitlines()
    assert all(LINE.fullmatch(line) for line in lines), lines
    return [line[24:] for line in lines]


def test_a_record_is_one_line_in_the_file_at_once(tmp_path: Path, clock: Clock) -> None:
    log = opened(tmp_path, clock)
    log.info("run", "Ready to accept connections")
    assert texts(tmp_path / "log") == ["INFO run:Ready to accept connections"]
    log.close()


def test_control_characters_cannot_forge_a_line(tmp_path: Path, clock: Clock) -> None:
    log = opened(tmp_path, clock)
    log.of_connection("s0", "evil\n2026").warning("x\r\x1b[2J")
    assert texts(tmp_path / "log") == ["WARNING [s0][evil\\n2026] x\\r\\x1b[2J"]
    log.close()


def test_debug_lines_appear_on_request(tmp_path: Path, clock: Clock) -> None:
    for debug in (False, True):
        log = opened(tmp_path, clock, debug)
        log.debug("detail", debug)
        log.close()
    assert texts(tmp_path / "log") == ["DEBUG detail:True"]


def test_a_rotated_log_goes_on_in_a_new_file(tmp_path: Path, clock: Clock) -> None:
    log = opened(tmp_path, clock)
    log.info("old")
    os.rename(tmp_path / "log", tmp_path / "log.1")
    log.reopen()
    log.info("new")
    log.close()
    assert texts(tmp_path / "log.1") == ["INFO old"]
    assert texts(tmp_path / "log") == ["INFO log reopened", "INFO new"]


def test_a_log_that_cannot_be_reopened_goes_on_in_the_old_file(tmp_path: Path, clock: Clock) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    log = open_log("logs/log", tmp_path, False, Repeats(clock))
    os.rename(folder, tmp_path / "moved")
    log.reopen()
    log.info("still here")
    log.close()
    lines = texts(tmp_path / "moved" / "log")
    assert lines[0].startswith("ERROR log not reopened:cannot open the log file")
    assert lines[1] == "INFO still here"


def test_a_missing_directory_is_a_clear_error(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(StorageFailure, match="cannot open the log file"):
        open_log("no/such/log", tmp_path, False, Repeats(clock))


def test_a_full_disk_does_not_end_the_daemon(clock: Clock) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    log = open_log("/dev/full", Path("/"), False, Repeats(clock))
    log.info("lost")
    log.close()


def test_a_repeated_warning_is_written_once_per_period_and_counted(tmp_path: Path, clock: Clock) -> None:
    log = opened(tmp_path, clock)
    for _ in range(5):
        log.warning("exceeds max concurrency", 10)
    log.info("same")
    log.info("same")
    clock.now = 11
    log.write_suppressed()
    log.warning("exceeds max concurrency", 10)
    clock.now = 29
    log.write_suppressed()
    log.close()
    assert texts(tmp_path / "log") == [
        "WARNING exceeds max concurrency:10",
        "INFO same",
        "INFO same",
        "WARNING Suppressed 4 messages exceeds max concurrency:10",
        "WARNING Suppressed 1 messages exceeds max concurrency:10",
    ]


def test_a_message_that_comes_again_after_a_quiet_period_is_written(clock: Clock) -> None:
    repeats = Repeats(clock)
    assert repeats.is_due((1, "a"))
    clock.now = 11
    assert repeats.take_ended() == []
    assert repeats.is_due((1, "a"))


def test_remembering_repeats_is_bounded(clock: Clock) -> None:
    repeats = Repeats(clock)
    for number in range(3 * MAX_MESSAGES):
        assert repeats.is_due((1, str(number)))
    assert len(repeats._recent) == MAX_MESSAGES


def test_a_defect_is_one_line_with_its_place() -> None:
    try:
        raise KeyError("x\ny")
    except KeyError as error:
        assert re.fullmatch(r"internal error: KeyError: .* at .*test_log.py:\d+", defect_text(error))
