"""What every kind of image store does. A subclass provides the fixture `make_store`; sizes are small, as tests inside
User Mode Linux are slow."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from walbd.image.store import ColdImages, ImageStore
from walbd.model.error import AlreadyExists, BadState, Cancelled, InvalidArgument, NotFound

MakeStore = Callable[[], ImageStore]
LB = 512


def never() -> bool:
    return False


def ignore(_: int) -> None:
    return None


def read(fd: int, size: int, offset: int = 0) -> bytes:
    """Reads and closes."""
    try:
        return os.pread(fd, size, offset)
    finally:
        os.close(fd)


def write(fd: int, offset: int, data: bytes) -> None:
    """Writes, syncs and closes."""
    try:
        os.pwrite(fd, data, offset)
        os.fsync(fd)
    finally:
        os.close(fd)


def write_base(store: ImageStore, offset: int, data: bytes) -> None:
    write(store.open_base("v0"), offset, data)


def restore(store: ImageStore, gid: int) -> None:
    store.begin_restore("v0", gid, never, ignore)
    store.commit_restore("v0", gid)


def restored(store: ImageStore, gid: int, size: int, offset: int = 0) -> bytes:
    return read(os.open(store.restored_path("v0", gid), os.O_RDONLY), size, offset)


def cold_of(store: ImageStore) -> ColdImages:
    """Of a store that has some."""
    assert store.cold
    return store.cold


def keep_cold(store: ImageStore, gid: int, data: bytes) -> ColdImages:
    """Makes a cold image that begins with `data`, and a restored volume of the same gid."""
    cold = cold_of(store)
    store.begin_restore("v0", gid, never, ignore)
    write(store.open_restore("v0", gid), 0, data)
    cold.keep("v0", gid)
    store.commit_restore("v0", gid)
    return cold


class StoreContract:
    """The suite."""

    @pytest.fixture
    def make_store(self) -> MakeStore:
        """Gives the store, as a restarted server finds it, each time it is called."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, make_store: MakeStore) -> Iterator[ImageStore]:
        yield make_store()

    def test_a_new_base_has_its_size_and_reads_as_promised(self, store: ImageStore) -> None:
        assert store.base_size_lb("v0") is None
        store.create_base("v0", 100)
        assert store.base_size_lb("v0") == 100
        if store.abilities.new_base_reads_zero:
            assert read(store.open_base("v0"), 100 * LB) == bytes(100 * LB)

    @pytest.mark.parametrize("size_lb", [50, 100, 200])
    def test_creating_a_base_that_exists_forgets_its_content_and_size(self, store: ImageStore, size_lb: int) -> None:
        store.create_base("v0", 100)
        write_base(store, 0, b"stale" * 10240)
        store.create_base("v0", size_lb)
        assert store.base_size_lb("v0") == size_lb
        if store.abilities.new_base_reads_zero:
            assert read(store.open_base("v0"), size_lb * LB) == bytes(size_lb * LB)

    def test_a_base_grows_with_zeros_and_keeps_its_content_and_size(self, make_store: MakeStore) -> None:
        store = make_store()
        store.create_base("v0", 2)
        write_base(store, 0, b"a" * 1024)
        for size_lb in (4, 20000, 20001):
            store.grow_base("v0", size_lb)
            assert store.base_size_lb("v0") == size_lb
        content = read(store.open_base("v0"), 20001 * LB)
        assert content == b"a" * 1024 + bytes(20001 * LB - 1024)
        assert make_store().base_size_lb("v0") == 20001

    def test_a_base_never_shrinks(self, store: ImageStore) -> None:
        store.create_base("v0", 4)
        with pytest.raises(InvalidArgument, match="You tried to shrink the volume"):
            store.grow_base("v0", 3)
        store.grow_base("v0", 4)
        assert store.base_size_lb("v0") == 4

    def test_a_base_with_restored_volumes_grows_or_says_why_not(self, store: ImageStore) -> None:
        store.create_base("v0", 4)
        write_base(store, 0, b"data")
        restore(store, 3)
        if store.abilities.grows_under_restored:
            store.grow_base("v0", 20000)
            assert store.base_size_lb("v0") == 20000
        else:
            with pytest.raises(BadState, match="base image cannot grow while it has restored volumes:v0:3") as caught:
                store.grow_base("v0", 20000)
            assert "del-restored" in caught.value.hint
            assert store.base_size_lb("v0") == 4
        assert restored(store, 3, 4) == b"data"

    def test_a_base_that_is_not_there_can_be_deleted_but_not_opened(self, store: ImageStore) -> None:
        store.delete_base("v0")
        with pytest.raises(NotFound, match="base image does not exist:v0"):
            store.open_base("v0")
        with pytest.raises(NotFound):
            store.begin_restore("v0", 1, never, ignore)
        assert store.sweep("v0") == []

    def test_a_deleted_base_is_gone(self, make_store: MakeStore) -> None:
        store = make_store()
        store.create_base("v0", 4)
        store.delete_base("v0")
        assert store.base_size_lb("v0") is None
        assert make_store().base_size_lb("v0") is None

    def test_a_restored_volume_is_independent_of_its_base(self, store: ImageStore) -> None:
        store.create_base("v0", 8)
        write_base(store, 0, b"one" + bytes(8 * LB - 3))
        restore(store, 7)
        write_base(store, 0, b"two")
        assert restored(store, 7, 8 * LB) == b"one" + bytes(8 * LB - 3)
        write(os.open(store.restored_path("v0", 7), os.O_RDWR), 0, b"six")
        assert read(store.open_base("v0"), 3) == b"two"

    def test_what_a_restored_volume_has_behind_the_volume_reads_as_zeros(self, store: ImageStore) -> None:
        store.create_base("v0", 3)
        restore(store, 1)
        behind = restored(store, 1, 1 << 24, 3 * LB)
        assert behind == bytes(len(behind))

    def test_restored_gids_are_listed_in_order_and_only_those_of_the_volume(self, store: ImageStore) -> None:
        store.create_base("v0", 8)
        store.create_base("v0-1", 8)
        for gid in (10, 9, 2**64 - 2):
            restore(store, gid)
        store.begin_restore("v0", 3, never, ignore)
        assert store.restored_gids("v0") == [9, 10, 2**64 - 2]
        assert store.restored_gids("v0-1") == []

    def test_an_unfinished_restore_is_swept_after_a_restart(self, make_store: MakeStore) -> None:
        store = make_store()
        store.create_base("v0", 8)
        restore(store, 1)
        store.begin_restore("v0", 2, never, ignore)
        again = make_store()
        assert again.sweep("v0") == ["wr_v0_2_tmp"]
        assert again.sweep("v0") == []
        assert again.restored_gids("v0") == [1]

    def test_a_restore_replaces_what_an_earlier_one_left(self, store: ImageStore) -> None:
        store.create_base("v0", 8)
        write_base(store, 0, bytes(4096))
        store.begin_restore("v0", 2, never, ignore)
        write(store.open_restore("v0", 2), 0, b"left over")
        restore(store, 2)
        assert restored(store, 2, 4096) == bytes(4096)

    def test_a_cancelled_copy_leaves_nothing(self, store: ImageStore) -> None:
        store.create_base("v0", 8)
        write_base(store, 0, b"data")
        with pytest.raises(Cancelled):
            store.begin_restore("v0", 2, lambda: True, ignore)
        assert store.sweep("v0") == []

    def test_abandoning_a_restore_leaves_nothing(self, store: ImageStore) -> None:
        store.create_base("v0", 8)
        store.begin_restore("v0", 2, never, ignore)
        store.abandon_restore("v0", 2)
        store.abandon_restore("v0", 2)
        assert store.sweep("v0") == []
        assert store.restored_gids("v0") == []

    def test_a_restored_volume_is_not_replaced(self, store: ImageStore) -> None:
        store.create_base("v0", 8)
        restore(store, 2)
        store.begin_restore("v0", 2, never, ignore)
        with pytest.raises(AlreadyExists, match="already restored:v0:2"):
            store.commit_restore("v0", 2)

    def test_a_restored_volume_is_deleted_once(self, store: ImageStore) -> None:
        store.create_base("v0", 8)
        restore(store, 2)
        store.delete_restored("v0", 2)
        assert store.restored_gids("v0") == []
        with pytest.raises(NotFound, match="volume not found:v0:2:restored"):
            store.delete_restored("v0", 2)


class WithoutColdImages(StoreContract):
    """A store that keeps none. What an archive then answers: tests/archive/test_cold.py."""

    def test_it_says_that_it_keeps_no_cold_images(self, store: ImageStore) -> None:
        assert store.cold is None


class WithColdImages(StoreContract):
    """A store that keeps cold images."""

    def test_a_cold_image_keeps_its_content_and_is_where_restores_begin(self, make_store: MakeStore) -> None:
        store = make_store()
        store.create_base("v0", 8)
        keep_cold(store, 5, b"five")
        write_base(store, 0, b"base")
        write(os.open(store.restored_path("v0", 5), os.O_RDWR), 0, b"user")
        again = make_store()
        cold = cold_of(again)
        assert cold.gids("v0") == [5]
        assert cold.gids("v0-1") == []
        cold.begin_restore("v0", 6, 5)
        again.commit_restore("v0", 6)
        assert restored(again, 6, 4) == b"five"
        assert cold.gids("v0") == [5]

    def test_a_restore_from_a_cold_image_has_the_size_of_the_base(self, store: ImageStore) -> None:
        store.create_base("v0", 8)
        cold = keep_cold(store, 5, b"five")
        store.grow_base("v0", 20000)
        cold.begin_restore("v0", 6, 5)
        assert read(store.open_restore("v0", 6), LB, 19999 * LB) == bytes(LB)

    def test_a_cold_image_is_deleted_once(self, store: ImageStore) -> None:
        store.create_base("v0", 8)
        cold = keep_cold(store, 5, b"five")
        cold.delete("v0", 5)
        assert cold.gids("v0") == []
        with pytest.raises(NotFound, match="volume not found:v0:5:cold"):
            cold.delete("v0", 5)
        with pytest.raises(NotFound, match="volume not found:v0:5:cold"):
            cold.begin_restore("v0", 6, 5)

    def test_a_cold_image_becomes_the_base_with_the_size_of_the_old_one(self, make_store: MakeStore) -> None:
        store = make_store()
        store.create_base("v0", 8)
        cold = keep_cold(store, 5, b"five")
        store.grow_base("v0", 20001)
        cold.begin_switch("v0", 5)
        assert store.base_size_lb("v0") is None
        assert make_store().base_size_lb("v0") is None
        assert cold.switching_gid("v0") == 5
        cold.end_switch("v0", 5)
        assert cold.switching_gid("v0") is None
        assert cold.gids("v0") == []
        again = make_store()
        assert again.base_size_lb("v0") == 20001
        assert read(again.open_base("v0"), 4) == b"five"
        write_base(again, 0, b"more")
        assert restored(again, 5, 4) == b"five"

    def test_a_switch_that_is_cancelled_leaves_a_cold_image(self, store: ImageStore) -> None:
        store.create_base("v0", 8)
        cold = keep_cold(store, 5, b"five")
        cold.begin_switch("v0", 5)
        cold.cancel_switch("v0", 5)
        assert cold.gids("v0") == [5]
        assert cold.switching_gid("v0") is None
        store.create_base("v0", 8)
        cold.begin_switch("v0", 5)
        cold.end_switch("v0", 5)
        assert read(store.open_base("v0"), 4) == b"five"

    def test_deleting_a_base_also_removes_what_was_about_to_take_its_place(self, make_store: MakeStore) -> None:
        store = make_store()
        store.create_base("v0", 8)
        cold = keep_cold(store, 5, b"five")
        cold.begin_switch("v0", 5)
        store.delete_base("v0")
        assert cold_of(make_store()).switching_gid("v0") is None
