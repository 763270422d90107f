"""Where a tool writes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from walbd.model.error import StorageFailure
from walbd.world.output import open_output


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("old")
    with open_output(str(path)) as out:
        os.write(out.fd, b"new")
        assert out.is_file and out.folder == tmp_path
        assert path.read_text() == "old"
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["out"]
    with open_output(str(path)) as out:
        os.write(out.fd, b"new")
        out.commit()
    assert path.read_text() == "new" and os.listdir(tmp_path) == ["out"]


def test_a_symbolic_link_stays_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with open_output(str(tmp_path / "link")) as out:
        os.write(out.fd, b"new")
        out.commit()
    assert (tmp_path / "link").is_symlink() and (tmp_path / "file").read_text() == "new"


def test_a_device_is_written_directly() -> None:
    with open_output("/dev/null") as out:
        os.write(out.fd, b"gone")
        assert not out.is_file
        out.commit()


def test_a_dash_is_standard_output_even_when_it_cannot_be_synced() -> None:
    script = (
        "import os; from walbd.world.output import open_output\n"
        "with open_output('-') as out:\n    os.write(out.fd, b'text')\n    out.commit()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout == b"text"


def test_a_folder_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageFailure, match="missing"):
        open_output(str(tmp_path / "missing" / "out"))
