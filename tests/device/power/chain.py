"""What the chains of lives have in common: how a cut is redone, and how a chain is run."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from tests.device.power.journal import Recorder
from walbd.wlog.recovery import recover
from walbd.wlog.super_sector import read_super_sector

CUTS_IN_A_LIFE = 4


class Chain(Protocol):
    """Lives of one device, each cut CUTS_IN_A_LIFE times."""

    def live(self) -> None:
        """The next life. Fails when a cut leaves something that must not be."""


def redone(files: Sequence[bytes], folder: Path) -> bytes:
    """The data device after a redo of what a cut left of log device and data device."""
    paths = folder / "cut.ldev", folder / "cut.ddev"
    for path, content in zip(paths, files, strict=True):
        path.write_bytes(content)
    ldev, ddev = (os.open(path, os.O_RDWR) for path in paths)
    try:
        recover(ldev, ddev, read_super_sector(ldev))
    finally:
        os.close(ldev)
        os.close(ddev)
    return paths[1].read_bytes()


def run(chain: Callable[[int, Path, Recorder], Chain]) -> None:
    """A program that runs one chain: arguments SEED and N_CUTS."""
    seed, n_cuts = int(sys.argv[1]), int(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        made = chain(seed, Path(folder), Recorder())
        for _ in range(0, n_cuts, CUTS_IN_A_LIFE):
            made.live()
    print(f"{n_cuts} cuts")
