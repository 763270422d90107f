"""The store that the options -vg and -tp name."""

from __future__ import annotations

from walbd.image.lvm.commands import LvmCommands
from walbd.image.lvm.runners import make_runner
from walbd.image.lvm.store import LvmStore
from walbd.image.lvm.thick import ThickStore
from walbd.image.lvm.thin import ThinStore


def make_lvm_store(group: str, pool: str = "") -> LvmStore:
    """In a volume group, or in a thin pool of it. Not opened yet."""
    lvm = LvmCommands(group, make_runner)
    return ThinStore(lvm, pool) if pool else ThickStore(lvm)
