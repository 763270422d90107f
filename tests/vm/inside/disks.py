"""Block devices for tests inside User Mode Linux."""

from __future__ import annotations

import subprocess
from pathlib import Path


def run(*command: str | Path) -> str:
    """Runs a program; returns what it prints. Fails the test with its messages when it fails."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.stderr or done.stdout}"
    return done.stdout


class LoopDevices:
    """Loop devices over files in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._paths: list[str] = []

    def add(self, size_bytes: int) -> str:
        """The path of a new device of zeros."""
        image = self._folder / f"disk{len(self._paths)}"
        with open(image, "wb") as file:
            file.truncate(size_bytes)
        self._paths.append(run("losetup", "-f", "--show", image).strip())
        return self._paths[-1]

    def close(self) -> None:
        """Detaches them."""
        for path in self._paths:
            run("losetup", "-d", path)
