"""Log files are read in small pieces here: the buffer is made anew for each of many thousand small files."""

from __future__ import annotations

import pytest

from walbd.wlog import log_file


@pytest.fixture(autouse=True)
def small_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_file, "READ_BYTES", 1 << 14)
