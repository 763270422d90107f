"""Images on real LVM: the suite of every store on thick volumes and in a thin pool, and a whole archive on each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.image.store_contract import MakeStore, StoreContract
from tests.vm.inside.disks import LoopDevices, run
from walbd.image.lvm.commands import LvmCommands, Runner
from walbd.image.lvm.runners import HelperRunner, make_runner
from walbd.image.lvm.thick import ThickStore
from walbd.image.lvm.thin import ThinStore
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


@pytest.fixture(scope="module")
def runner(group: str) -> Iterator[Runner]:
    """One helper for all tests: to start Python takes seconds in here."""
    helper = make_runner()
    assert isinstance(helper, HelperRunner)
    yield helper
    helper.close()


@pytest.fixture
def lvm(runner: Runner) -> Iterator[LvmCommands]:
    """The group; without images after the test."""
    yield LvmCommands(GROUP, lambda: runner)
    runner.run(["lvremove", "-f", "-y", "-S", "lv_name=~^w[brc]_", GROUP])


def opened(store: ImageStore) -> ImageStore:
    store.open()
    return store


class TestThick(StoreContract):
    @pytest.fixture
    def make_store(self, lvm: LvmCommands) -> MakeStore:
        return lambda: opened(ThickStore(lvm))


class TestThin(StoreContract):
    @pytest.fixture
    def make_store(self, lvm: LvmCommands) -> MakeStore:
        return lambda: opened(ThinStore(lvm, POOL))
