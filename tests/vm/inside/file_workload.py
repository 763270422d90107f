"""A thread that makes, changes, renames and removes files in a folder, and knows what must be there."""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path

MAX_FILES = 60
MAX_FILE_BYTES = 200_000
WAIT_SEC = 60.0


def check_files(folder: Path, files: dict[str, bytes]) -> None:
    """Fails the test unless exactly these files with this content are there."""
    assert sorted(os.listdir(folder)) == sorted(files)
    for name, content in files.items():
        assert (folder / name).read_bytes() == content, name


class FileWorkload:
    """Use it as a context manager; leaving ends the thread."""

    def __init__(self, folder: Path, seed: int, max_files: int = MAX_FILES) -> None:
        self.files: dict[str, bytes] = {}
        self.error: BaseException | None = None
        self._folder = folder
        self._max_files = max_files
        self._random = random.Random(seed)
        self._steps = 0
        self._made_step = threading.Condition()
        self._at_work = threading.Lock()
        self._is_ending = False
        self._thread = threading.Thread(target=self._run)

    def wait_for_steps(self, count: int) -> None:
        """Returns when it has done so many more steps. Fails the test when it does not go on."""
        with self._made_step:
            end = self._steps + count
            assert self._made_step.wait_for(lambda: self._steps >= end or self.error, WAIT_SEC), "no step any more"
        assert self.error is None, self.error

    def check(self) -> None:
        """Fails the test unless exactly these files with this content are there."""
        check_files(self._folder, self.files)

    def paused(self) -> threading.Lock:
        """A context manager: meanwhile nothing is written, and `files` does not change."""
        return self._at_work

    def __enter__(self) -> FileWorkload:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_ending = True
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._is_ending:
                with self._at_work:
                    self._step()
                with self._made_step:
                    self._steps += 1
                    self._made_step.notify_all()
        except BaseException as error:
            self.error = error
            with self._made_step:
                self._made_step.notify_all()

    def _step(self) -> None:
        choice = self._random.random()
        if choice < 0.6 or not self.files:
            self._write(f"file{self._random.randrange(self._max_files)}")
        elif choice < 0.8:
            old, new = self._random.choice(sorted(self.files)), f"file{self._random.randrange(self._max_files)}"
            os.rename(self._folder / old, self._folder / new)
            self.files[new] = self.files.pop(old)
        else:
            name = self._random.choice(sorted(self.files))
            (self._folder / name).unlink()
            del self.files[name]

    def _write(self, name: str) -> None:
        """Replaces a file, or a part of it."""
        content = bytearray(self.files.get(name, b"") if self._random.random() < 0.5 else b"")
        piece = self._random.randbytes(self._random.randrange(1, MAX_FILE_BYTES))
        at = self._random.randrange(len(content) + 1)
        content[at : at + len(piece)] = piece
        path = self._folder / name
        with open(path, "r+b" if content != piece and path.exists() else "wb") as file:
            file.seek(at)
            file.write(piece)
            file.flush()
            if self._random.random() < 0.3:
                os.fsync(file.fileno())
        self.files[name] = bytes(content)
