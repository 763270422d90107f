"""The golden files of the data formats by their content names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import zstandard

from tests.conftest import Vectors


class Golden:
    """The files by their content names, unpacked on demand."""

    def __init__(self, vectors: Vectors, folder: Path) -> None:
        self._vectors, self.folder = vectors, folder
        self.expected: dict[str, Any] = json.loads(vectors("formats", "expected.json").read_text())

    def __call__(self, name: str) -> Path:
        stored = self._vectors("formats", self.expected["files"][name]["stored"])
        if stored.suffix != ".zst":
            return stored
        path = self.folder / name.replace("/", "_")
        if not path.exists():
            path.write_bytes(zstandard.ZstdDecompressor().stream_reader(stored.read_bytes()).read())
        return path
