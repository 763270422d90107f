"""An ext4 image made and changed without root, and the copy of it that says what a restore must be.

The image file is the oracle: files are changed in it with debugfs, and whatever blocks differ afterwards are what a
real file system would have written to its device.
"""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from demo.group import sanitized_environment

BLOCK_BYTES = 4096
STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib"))
PACKAGES = ["asyncio", "collections", "concurrent", "ctypes", "email", "encodings", "html", "http", "importlib"]
PACKAGES += ["json", "logging", "multiprocessing", "sqlite3", "unittest", "urllib", "wsgiref", "xml"]


class FileSystemError(Exception):
    """One of the e2fsprogs failed; the text is what it said."""


def _run(*command: object, stdin: str | None = None) -> str:
    text = [str(word) for word in command]
    done = subprocess.run(text, input=stdin, capture_output=True, text=True, env=sanitized_environment(), check=False)
    # debugfs reports a failed command on stderr only, behind its banner line.
    failed = [line for line in done.stderr.splitlines() if text[0] == "debugfs" and not line.startswith("debugfs ")]
    if done.returncode != 0 or failed:
        raise FileSystemError(f"{' '.join(text[:2])}: {' '.join(failed) or (done.stderr or done.stdout).strip()}")
    return done.stdout


class Image:
    """An ext4 image file and the changes made to it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def make(self, size_bytes: int, scratch: Path) -> int:
        """Makes the file system with a copy of parts of the Python standard library; returns how many files."""
        tree = scratch / "tree"
        for package in PACKAGES:
            source = STANDARD_LIBRARY / package
            if source.is_dir():
                shutil.copytree(source, tree / package, ignore=shutil.ignore_patterns("__pycache__"))
        _run("mke2fs", "-q", "-F", "-t", "ext4", "-b", BLOCK_BYTES, "-d", tree, self.path, f"{size_bytes // 1024}k")
        count = sum(1 for path in tree.rglob("*") if path.is_file())
        shutil.rmtree(tree)
        return count

    def write_file(self, name: str, content: bytes, scratch: Path) -> None:
        """Creates or replaces a file in the root folder."""
        source = scratch / "content"
        source.write_bytes(content)
        self._debugfs([f"rm {name}"] if name in self.names() else [])
        self._debugfs([f"write {source} {name}"])

    def remove_file(self, name: str) -> list[int]:
        """Removes a file; returns the numbers of the blocks it had, which are now free."""
        blocks = [int(word) for word in self._debugfs([f"blocks {name}"]).split() if word.isdigit()]
        self._debugfs([f"rm {name}"])
        return blocks

    def names(self) -> set[str]:
        """Names in the root folder."""
        lines = self._debugfs(["ls -p /"]).splitlines()
        return {line.split("/")[5] for line in lines if line.startswith("/")}

    def clear_block(self, block: int) -> None:
        """Fills a block with zeros: what a discarded block reads as."""
        with open(self.path, "r+b") as file:
            file.seek(block * BLOCK_BYTES)
            file.write(bytes(BLOCK_BYTES))

    def _debugfs(self, commands: list[str]) -> str:
        return _run("debugfs", "-w", "-f", "-", self.path, stdin="".join(line + "\n" for line in commands))


def changed_blocks(old: Path, new: Path) -> Iterator[tuple[int, bytes]]:
    """(byte offset, content) of each run of blocks that differ between two files of the same size."""
    with open(old, "rb") as old_file, open(new, "rb") as new_file:
        offset = 0
        while chunk := new_file.read(256 * BLOCK_BYTES):
            before = old_file.read(len(chunk))
            if chunk != before:
                yield from _differing_runs(before, chunk, offset)
            offset += len(chunk)


def _differing_runs(before: bytes, after: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    start: int | None = None
    for position in range(0, len(after) + BLOCK_BYTES, BLOCK_BYTES):
        is_same = before[position : position + BLOCK_BYTES] == after[position : position + BLOCK_BYTES]
        if not is_same and start is None:
            start = position
        elif is_same and start is not None:
            yield offset + start, after[start:position]
            start = None


def is_clean(path: Path) -> bool:
    """What `e2fsck -fn` says of an image."""
    done = subprocess.run(["e2fsck", "-fn", path], capture_output=True, env=sanitized_environment(), check=False)
    return done.returncode == 0


def are_identical(one: Path, other: Path) -> bool:
    """Compares two files byte for byte."""
    with open(one, "rb") as one_file, open(other, "rb") as other_file:
        while True:
            left, right = one_file.read(1 << 20), other_file.read(1 << 20)
            if left != right:
                return False
            if not left:
                return True
