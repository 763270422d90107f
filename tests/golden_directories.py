"""Base directories written by the reference, unpacked for a test."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zstandard

if TYPE_CHECKING:
    from tests.conftest import Vectors

Case = dict[str, Any]


def golden_cases(vectors: Vectors, kind: str) -> list[Case]:
    """The cases of one kind of server."""
    found = json.loads(vectors("basedirs", "expected.json").read_text())["cases"]
    return [case for case in found if case["daemon"] == f"walb-{kind}"]


def unzipped(path: Path) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes())


def unpack(vectors: Vectors, case: Case, folder: Path) -> Path:
    """The case's base directory below `folder`."""
    with tarfile.open(fileobj=io.BytesIO(unzipped(vectors("basedirs", case["file"])))) as archive:
        archive.extractall(folder, filter="data")
    return folder / "base"


def files_of(base: Path) -> dict[str, bytes]:
    """Every file below a directory by its name there; directories end with a slash."""
    return {
        str(path.relative_to(base)) + ("/" if path.is_dir() else ""): b"" if path.is_dir() else path.read_bytes()
        for path in sorted(base.rglob("*"))
    }
