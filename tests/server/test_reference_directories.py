"""Base directories written by the reference are recognised."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import zstandard

from tests.server.server_testing import make_runtime
from walbd.archive.states import STATES as ARCHIVE_STATES
from walbd.model.error import InvalidArgument
from walbd.model.uuid_text import uuid_hex
from walbd.server.base_directory import MARKS, BaseDirectory
from walbd.server.volume_files import VolumeFolder
from walbd.storage.states import STATES as STORAGE_STATES
from walbd.world.files import Files

if TYPE_CHECKING:
    from tests.conftest import Vectors

STATES = {"storage": STORAGE_STATES, "archive": ARCHIVE_STATES}


@pytest.fixture(scope="session")
def cases(vectors: Vectors) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(vectors("basedirs", "expected.json").read_text())["cases"]
    return found


def kind_of(case: dict[str, Any]) -> str:
    return str(case["daemon"]).removeprefix("walb-")


def unpack(vectors: Vectors, case: dict[str, Any], folder: Path) -> Path:
    data = zstandard.ZstdDecompressor().decompressobj().decompress(vectors("basedirs", case["file"]).read_bytes())
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        archive.extractall(folder, filter="data")
    return folder / "base"


def test_every_directory_is_taken_over_by_its_kind_of_server_only(
    vectors: Vectors, cases: list[dict[str, Any]], tmp_path: Path
) -> None:
    log = make_runtime()[0].log
    for case in cases:
        path = unpack(vectors, case, tmp_path / case["name"])
        base = BaseDirectory(Files(), path, kind_of(case), create=False)
        assert base.volume_names(log) == sorted(case["volumes"]), case["name"]
        base.close()
        for other in MARKS.keys() - {kind_of(case)} if case["volumes"] else ():
            with pytest.raises(InvalidArgument, match="belongs to a walb-"):
                BaseDirectory(Files(), path, other, create=False)


def test_states_and_uuids_are_read_as_the_reference_reads_them(
    vectors: Vectors, cases: list[dict[str, Any]], tmp_path: Path
) -> None:
    for case in cases:
        path = unpack(vectors, case, tmp_path / case["name"])
        for name, expected in case["volumes"].items():
            folder = VolumeFolder(Files(), path / name)
            if state := expected.get("state"):
                assert folder.load_state(STATES[kind_of(case)].static) == state
            if uuid := expected.get("uuid"):
                assert uuid_hex(folder.load_uuid("uuid")) == uuid
