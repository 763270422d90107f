from __future__ import annotations

import os
from pathlib import Path

from walbd.world.journal import is_journal, journal_line


def test_a_stream_goes_to_the_journal_when_the_variable_names_its_device_and_inode(tmp_path: Path) -> None:
    with open(tmp_path / "a", "w") as stream, open(tmp_path / "b", "w") as other:
        status = os.fstat(stream.fileno())
        environment = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        assert is_journal(stream, environment)
        assert not is_journal(other, environment)
        assert not is_journal(stream, {})
    assert not is_journal(stream, environment), "a closed stream goes nowhere"


def test_a_line_begins_with_the_priority_of_its_level() -> None:
    assert [journal_line(level, "text") for level in ("DEBUG", "INFO", "WARNING", "WARN", "ERROR")] == [
        "<7>DEBUG text",
        "<6>INFO text",
        "<4>WARNING text",
        "<4>WARN text",
        "<3>ERROR text",
    ]
