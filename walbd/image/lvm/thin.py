"""Images in a thin pool: every snapshot shares its blocks with the others, so that each costs only what differs."""

from __future__ import annotations

from walbd.image.lvm.cold import LvmColdImages
from walbd.image.lvm.lvm import LogicalVolume, Lvm
from walbd.image.lvm.size_tags import size_tag
from walbd.image.lvm.store import LvmStore
from walbd.image.names import BASE_PREFIX, next_base_name
from walbd.image.store import Abilities
from walbd.model.error import BadState, NotFound, WalbError
from walbd.model.limits import LB_BYTES

FULL_PERCENT = 95.0


class ThinStore(LvmStore):
    """ImageStore on thin volumes of a pool."""

    def __init__(self, lvm: Lvm, pool: str) -> None:
        super().__init__(lvm, pool)
        self.abilities = Abilities("thin logical volumes", volume_group=lvm.group_name, thin_pool=pool)
        self.cold = LvmColdImages(lvm, self._catalogue)
        self._pool = pool
        self._full_name = f"{lvm.group_name}/{pool}"

    def space_hint(self) -> str:
        try:
            (pool,) = self._lvm.volumes([self._pool])
        except (WalbError, ValueError):
            return ""  # the failure to be explained matters more
        if pool.data_percent >= FULL_PERCENT:
            remedy = f"'lvextend --size +SIZE {self._full_name}', or delete restored volumes and cold snapshots"
            return f"thin pool {self._full_name} is full ({pool.data_percent:g} %): {remedy}; then try again"
        if pool.metadata_percent >= FULL_PERCENT:
            remedy = f"'lvextend --poolmetadatasize +SIZE {self._full_name}'"
            return f"metadata of thin pool {self._full_name} is full ({pool.metadata_percent:g} %): {remedy}"
        return ""

    def _check(self) -> None:
        pools = [volume for volume in self._lvm.volumes([self._pool]) if volume.is_thin_pool]
        if not pools:
            raise NotFound(f"thin pool does not exist:{self._full_name}", "'lvs' lists those there are; see -tp")
        if not pools[0].zeroes_new_blocks:
            raise BadState(f"thin pool does not zero new blocks:{self._full_name}", "'lvchange --zero y' has it do so")

    def _create_base(self, name: str, size_lb: int) -> None:
        self._lvm.create_thin(self._pool, name, size_lb * LB_BYTES, [size_tag(size_lb)])

    def delete_base(self, volume: str) -> None:
        for gid in self._catalogue.gids(volume, BASE_PREFIX, is_temporary=True):
            self._catalogue.remove(next_base_name(volume, gid))
        super().delete_base(volume)

    def _snapshot(self, origin: LogicalVolume, name: str) -> None:
        self._lvm.snapshot_thin(origin.name, name, is_writable=True)

    def _check_can_grow(self, volume: str) -> None:
        """It always can."""

    def _zero(self, name: str, begin_lb: int, end_lb: int) -> None:
        """What was never written reads as zeros."""
