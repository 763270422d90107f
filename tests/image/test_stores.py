"""The suite of every kind of image store, on files and on a simulated volume group. On real LVM: tests/vm/inside."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.image.simulated_lvm import POOL, SimulatedLvm
from tests.image.store_contract import MakeStore, WithColdImages, WithoutColdImages
from walbd.image.lvm.store import LvmStore
from walbd.image.lvm.thick import ThickStore
from walbd.image.lvm.thin import ThinStore
from walbd.image.plain_files import PlainFileStore
from walbd.image.store import ImageStore
from walbd.world.files import Files


class TestPlainFiles(WithoutColdImages):
    @pytest.fixture
    def make_store(self, tmp_path: Path) -> MakeStore:
        (tmp_path / "v0").mkdir()
        (tmp_path / "v0-1").mkdir()
        return lambda: PlainFileStore(tmp_path, Files())


class TestThick(WithoutColdImages):
    @pytest.fixture
    def make_store(self, tmp_path: Path) -> MakeStore:
        def make() -> ImageStore:
            store = ThickStore(SimulatedLvm(tmp_path))
            store.open()
            return store

        return make


class TestThin(WithColdImages):
    @pytest.fixture
    def make_store(self, tmp_path: Path) -> MakeStore:
        def make() -> ImageStore:
            store = ThinStore(SimulatedLvm(tmp_path), POOL)
            store.open()
            return store

        return make


@pytest.mark.parametrize("kind", ["thick", "thin"])
def test_two_that_grow_a_base_at_once_zero_nothing_that_was_written_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """A proxy that was not answered in time asks again, or a second one does."""
    lvm = SimulatedLvm(tmp_path)
    store: LvmStore = ThickStore(lvm) if kind == "thick" else ThinStore(lvm, POOL)
    store.open()
    store.create_base("v0", 8)
    zero, reached, released = store._zero, threading.Event(), threading.Event()
    count = 0

    def held(name: str, begin_lb: int, end_lb: int) -> None:
        nonlocal count
        count += 1
        reached.set()
        released.wait(20)
        zero(name, begin_lb, end_lb)

    monkeypatch.setattr(store, "_zero", held)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(store.grow_base, "v0", 4096)
        assert reached.wait(20)
        second = pool.submit(store.grow_base, "v0", 4096)
        released.set()
        first.result(20)
        second.result(20)
    # The first one's caller may have written there before the second one's turn.
    assert (store.base_size_lb("v0"), count) == (4096, 1)
