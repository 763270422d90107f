"""Running tools inside the test process."""

from __future__ import annotations

import contextlib
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

from walbd.tools.tool import Tool, run_tool


@dataclass(frozen=True)
class Ran:
    """What a run of a tool gave."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


def run(tool: Tool, *words: object) -> Ran:
    """Runs a tool with these words."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = run_tool(tool, [str(word) for word in words])
    return Ran(status, out.getvalue(), err.getvalue())


def done(tool: Tool, *words: object) -> Ran:
    """The same for a run that must succeed without a word on stderr."""
    ran = run(tool, *words)
    assert (ran.status, ran.err) == (0, ""), ran
    return ran


def failed(tool: Tool, *words: object) -> str:
    """Runs a tool that must fail with one line on stderr; returns what follows the tool's name."""
    ran = run(tool, *words)
    lines = ran.err.splitlines()
    assert ran.status == 1 and len(lines) == 1, ran
    mark = f" ERROR {tool.name}:"
    assert mark in lines[0] and "Traceback" not in lines[0]
    return lines[0].partition(mark)[2]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def image(path: Path, size: int, fill: str = "00") -> Path:
    """A file full of one byte."""
    path.write_bytes(bytes.fromhex(fill) * size)
    return path


def left_over(folder: Path) -> list[str]:
    """Names of all files in a folder: to see that nothing is left."""
    return sorted(path.name for path in folder.iterdir())
