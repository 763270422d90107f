from __future__ import annotations

from pathlib import Path

import pytest

from tests.group_testing import FaultyFiles
from walbd.model.address import Address
from walbd.model.error import AlreadyExists, Corrupted, InvalidArgument, StorageFailure
from walbd.server.volume_files import (
    MAX_FILE_BYTES,
    VolumeFolder,
    create_folder,
    remove_folder,
    sweep_leftovers,
    volume_folder,
)
from walbd.world.files import Files


@pytest.fixture
def folder(tmp_path: Path) -> VolumeFolder:
    return VolumeFolder(Files(), tmp_path)


def test_metadata_files_have_the_bytes_of_the_reference(folder: VolumeFolder) -> None:
    folder.save_string("path", "/dev/walb/w0")
    folder.save_uuid("uuid", bytes(16))
    folder.save_u64("size", 8192)
    assert (folder.path / "path").read_bytes().hex() == "0c2f6465762f77616c622f7730"
    assert (folder.path / "uuid").read_bytes() == bytes(16)
    assert (folder.path / "size").read_bytes().hex() == "810020"


def test_what_was_saved_is_loaded(folder: VolumeFolder) -> None:
    folder.save_string("state", "Target")
    folder.save_uuid("uuid", b"0123456789abcdef")
    folder.save_u64("size", 2**64 - 1)
    folder.save_record("address", Address("host", 5000))
    assert folder.load_state(frozenset(["Target"])) == "Target"
    assert folder.load_uuid("uuid") == b"0123456789abcdef"
    assert folder.load_u64("size") == 2**64 - 1
    assert folder.load_record("address", Address) == Address("host", 5000)
    folder.remove("size")
    assert not folder.exists("size")


@pytest.mark.parametrize("data", [b"", b"\x05abc", b"\x03abcd", b"\x03abc", b"\x83\xff\xff\xff\xff\xff\xff\xff\x7fx"])
def test_a_damaged_state_file_is_reported_with_its_path(folder: VolumeFolder, data: bytes) -> None:
    (folder.path / "state").write_bytes(data)
    with pytest.raises(Corrupted, match=r"/state"):
        folder.load_state(frozenset(["Target"]))


@pytest.mark.parametrize("data", [b"", bytes(15), bytes(17)])
def test_a_uuid_has_sixteen_bytes(folder: VolumeFolder, data: bytes) -> None:
    (folder.path / "uuid").write_bytes(data)
    with pytest.raises(Corrupted):
        folder.load_uuid("uuid")


def test_a_missing_or_huge_file_is_reported(folder: VolumeFolder) -> None:
    with pytest.raises(StorageFailure, match="cannot read"):
        folder.load_u64("size")
    (folder.path / "size").write_bytes(bytes(MAX_FILE_BYTES + 1))
    with pytest.raises(StorageFailure, match="larger than"):
        folder.load_u64("size")


def test_a_folder_appears_complete(tmp_path: Path) -> None:
    def fill(folder: VolumeFolder) -> None:
        folder.save_string("state", "SyncReady")
        assert not (tmp_path / "v0").exists()

    create_folder(Files(), tmp_path / "v0", fill)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["state", "v0"]


def test_a_folder_whose_making_fails_does_not_exist(tmp_path: Path) -> None:
    def fill(folder: VolumeFolder) -> None:
        folder.save_string("state", "SyncReady")
        raise StorageFailure("full")

    with pytest.raises(StorageFailure, match="full"):
        create_folder(Files(), tmp_path / "v0", fill)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_whose_name_cannot_be_made_durable_does_not_exist(tmp_path: Path) -> None:
    files = FaultyFiles(fails=lambda operation, path: (operation, path) == ("sync", tmp_path))
    with pytest.raises(StorageFailure):
        create_folder(files, tmp_path / "v0", lambda folder: folder.save_string("state", "Stopped"))
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "v0").mkdir()
    (tmp_path / "v0" / "state").write_bytes(b"x")
    with pytest.raises(AlreadyExists):
        create_folder(Files(), tmp_path / "v0", lambda folder: None)
    assert (tmp_path / "v0" / "state").read_bytes() == b"x"


def test_a_removed_folder_is_gone_with_its_content(tmp_path: Path) -> None:
    (tmp_path / "v0" / "received").mkdir(parents=True)
    (tmp_path / "v0" / "received" / "x").write_bytes(b"x")
    for _ in range(2):
        remove_folder(Files(), tmp_path / "v0")
    assert list(tmp_path.iterdir()) == []


class Crash(BaseException):
    """The process ends here."""


class CrashingFiles(Files):
    """Dies after the first rename."""

    def rename(self, old: Path, new: Path) -> None:
        super().rename(old, new)
        raise Crash


def test_a_crash_while_removing_leaves_nothing_that_looks_like_a_volume(tmp_path: Path) -> None:
    (tmp_path / "v0").mkdir()
    (tmp_path / "v0" / "state").write_bytes(b"x")
    with pytest.raises(Crash):
        remove_folder(CrashingFiles(), tmp_path / "v0")
    assert [path.name[:6] for path in tmp_path.iterdir()] == [".walb-"]
    assert sweep_leftovers(tmp_path) == 1
    assert list(tmp_path.iterdir()) == []


def test_names_that_lead_elsewhere_are_refused(tmp_path: Path) -> None:
    for name in ("../x", ".", "..", "a/b", "a\0", ""):
        with pytest.raises(InvalidArgument):
            volume_folder(tmp_path, name)
