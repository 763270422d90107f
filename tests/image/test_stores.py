"""One suite for every kind of image store."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from walbd.image.plain_files import PlainFileStore
from walbd.image.store import ImageStore
from walbd.model.error import AlreadyExists, Cancelled, InvalidArgument, NotFound
from walbd.world.files import Files

MakeStore = Callable[[], ImageStore]


def never() -> bool:
    return False


def ignore(_: int) -> None:
    return None


@pytest.fixture
def make_store(tmp_path: Path) -> MakeStore:
    """Call it again for the store as a restarted server finds it."""
    (tmp_path / "v0").mkdir()
    (tmp_path / "v0-1").mkdir()
    return lambda: PlainFileStore(tmp_path, Files())


@pytest.fixture
def store(make_store: MakeStore) -> ImageStore:
    return make_store()


def write(store: ImageStore, offset: int, data: bytes) -> None:
    fd = store.open_base("v0")
    os.pwrite(fd, data, offset)
    os.close(fd)


def restore(store: ImageStore, gid: int) -> None:
    store.begin_restore("v0", gid, never, ignore)
    store.commit_restore("v0", gid)


def test_a_new_base_has_its_size_and_reads_as_zeros(store: ImageStore) -> None:
    assert store.base_size_lb("v0") is None
    store.create_base("v0", 100)
    assert store.base_size_lb("v0") == 100
    fd = store.open_base("v0")
    assert os.pread(fd, 51200, 0) == bytes(51200)
    os.close(fd)


@pytest.mark.parametrize("size_lb", [50, 100, 200])
def test_creating_a_base_that_exists_forgets_its_content(store: ImageStore, size_lb: int) -> None:
    store.create_base("v0", 100)
    write(store, 0, b"stale" * 10240)
    store.create_base("v0", size_lb)
    fd = store.open_base("v0")
    assert os.pread(fd, 512 * size_lb + 1, 0) == bytes(512 * size_lb)
    os.close(fd)


def test_a_base_grows_with_zeros_and_keeps_its_content(store: ImageStore) -> None:
    store.create_base("v0", 2)
    write(store, 0, b"a" * 1024)
    store.grow_base("v0", 4)
    assert store.base_size_lb("v0") == 4
    fd = store.open_base("v0")
    assert os.pread(fd, 4096, 0) == b"a" * 1024 + bytes(1024)
    os.close(fd)


def test_a_base_never_shrinks(store: ImageStore) -> None:
    store.create_base("v0", 4)
    with pytest.raises(InvalidArgument, match="You tried to shrink the volume"):
        store.grow_base("v0", 3)
    assert store.base_size_lb("v0") == 4


def test_a_base_that_is_not_there_can_be_deleted_but_not_opened(store: ImageStore) -> None:
    store.delete_base("v0")
    with pytest.raises(NotFound, match="base image does not exist:v0"):
        store.open_base("v0")
    with pytest.raises(NotFound):
        store.begin_restore("v0", 1, never, ignore)
    assert store.sweep("v0") == []


def test_a_restored_volume_is_independent_of_its_base(store: ImageStore) -> None:
    store.create_base("v0", 8)
    write(store, 0, b"one")
    restore(store, 7)
    write(store, 0, b"two")
    assert store.restored_path("v0", 7).read_bytes()[:3] == b"one"
    with open(store.restored_path("v0", 7), "r+b") as file:
        file.write(b"six")
    fd = store.open_base("v0")
    assert os.pread(fd, 3, 0) == b"two"
    os.close(fd)


def test_restored_gids_are_listed_in_order_and_only_those_of_the_volume(store: ImageStore) -> None:
    store.create_base("v0", 8)
    store.create_base("v0-1", 8)
    for gid in (10, 9, 2**64 - 2):
        restore(store, gid)
    store.begin_restore("v0", 3, never, ignore)
    assert store.restored_gids("v0") == [9, 10, 2**64 - 2]
    assert store.restored_gids("v0-1") == []


def test_an_unfinished_restore_is_swept_after_a_restart(make_store: MakeStore) -> None:
    store = make_store()
    store.create_base("v0", 8)
    restore(store, 1)
    store.begin_restore("v0", 2, never, ignore)
    again = make_store()
    assert again.sweep("v0") == ["wr_v0_2_tmp"]
    assert again.sweep("v0") == []
    assert again.restored_gids("v0") == [1]


def test_a_restore_replaces_what_an_earlier_one_left(store: ImageStore) -> None:
    store.create_base("v0", 8)
    store.begin_restore("v0", 2, never, ignore)
    fd = store.open_restore("v0", 2)
    os.pwrite(fd, b"left over", 0)
    os.close(fd)
    restore(store, 2)
    assert store.restored_path("v0", 2).read_bytes() == bytes(4096)


def test_a_cancelled_copy_leaves_nothing(store: ImageStore) -> None:
    store.create_base("v0", 8)
    write(store, 0, b"data")
    with pytest.raises(Cancelled):
        store.begin_restore("v0", 2, lambda: True, ignore)
    assert store.sweep("v0") == []


def test_abandoning_a_restore_leaves_nothing(store: ImageStore) -> None:
    store.create_base("v0", 8)
    store.begin_restore("v0", 2, never, ignore)
    store.abandon_restore("v0", 2)
    store.abandon_restore("v0", 2)
    assert store.sweep("v0") == []
    assert store.restored_gids("v0") == []


def test_a_restored_volume_is_not_replaced(store: ImageStore) -> None:
    store.create_base("v0", 8)
    restore(store, 2)
    store.begin_restore("v0", 2, never, ignore)
    with pytest.raises(AlreadyExists, match="already restored:v0:2"):
        store.commit_restore("v0", 2)


def test_a_restored_volume_is_deleted_once(store: ImageStore) -> None:
    store.create_base("v0", 8)
    restore(store, 2)
    store.delete_restored("v0", 2)
    assert store.restored_gids("v0") == []
    with pytest.raises(NotFound, match="volume not found:v0:2:restored"):
        store.delete_restored("v0", 2)
