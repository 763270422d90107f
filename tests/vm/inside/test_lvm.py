"""Images on real LVM: the suite of every store on thick volumes and in a thin pool, and a whole archive on each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.image.store_contract import MakeStore, StoreContract
from tests.vm.inside.disks import LoopDevices, run
from walbd.image.lvm.make import make_lvm_store
from walbd.image.store import ImageStore

GROUP = "vg0"
POOL = "pool"


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A volume group with a thin pool."""
    loops = LoopDevices(tmp_path_factory.mktemp("disks"))
    device = loops.add(512 << 20)
    run("pvcreate", "-ff", "-y", device)
    run("vgcreate", "-s", "1m", GROUP, device)
    run("lvcreate", "-y", "--type", "thin-pool", "-n", POOL, "-L", "128m", GROUP)
    # Else writes wait a minute for room.
    run("lvchange", "-y", "--errorwhenfull", "y", f"{GROUP}/{POOL}")
    yield GROUP
    run("vgremove", "-f", "-y", GROUP)
    loops.close()


class Stores:
    """Opens stores, and closes them and removes their volumes after a test."""

    def __init__(self, pool: str) -> None:
        self._pool = pool
        self._opened: list[ImageStore] = []

    def make(self) -> ImageStore:
        store = make_lvm_store(GROUP, self._pool)
        store.open()
        self._opened.append(store)
        return store

    def close(self) -> None:
        for store in self._opened:
            store.close()
        run("lvremove", "-f", "-y", "-S", "lv_name=~^w[brc]_", GROUP)


class TestThick(StoreContract):
    @pytest.fixture
    def make_store(self, group: str) -> Iterator[MakeStore]:
        stores = Stores("")
        yield stores.make
        stores.close()


class TestThin(StoreContract):
    @pytest.fixture
    def make_store(self, group: str) -> Iterator[MakeStore]:
        stores = Stores(POOL)
        yield stores.make
        stores.close()
