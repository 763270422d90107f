"""The suite of every kind of image store, on files and on a simulated volume group. On real LVM: tests/vm/inside."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.image.simulated_lvm import POOL, SimulatedLvm
from tests.image.store_contract import MakeStore, WithColdImages, WithoutColdImages
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
