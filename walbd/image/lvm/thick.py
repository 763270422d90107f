"""Images on thick logical volumes. A restored volume is a snapshot with room of its own."""

from __future__ import annotations

from walbd.image.lvm.lvm import LogicalVolume, Lvm
from walbd.image.lvm.size_tags import size_tag
from walbd.image.lvm.store import LvmStore
from walbd.image.names import RESTORED_PREFIX
from walbd.image.store import Abilities
from walbd.model.error import BadState
from walbd.model.limits import LB_BYTES


class ThickStore(LvmStore):
    """ImageStore on thick volumes of a group."""

    def __init__(self, lvm: Lvm) -> None:
        super().__init__(lvm, "")
        self.abilities = Abilities(
            "thick logical volumes",
            volume_group=lvm.group_name,
            new_base_reads_zero=False,
            grows_under_restored=False,
        )

    def space_hint(self) -> str:
        """All room is taken when a volume is made; LVM says when there is none."""
        return ""

    def _check(self) -> None:
        """The group is there: that is all."""

    def _create_base(self, name: str, size_lb: int) -> None:
        self._lvm.create(name, size_lb * LB_BYTES, [size_tag(size_lb)])

    def _snapshot(self, origin: LogicalVolume, name: str) -> None:
        # Room for all of it and for LVM's own tables: it never overflows (servers.md section 5.4).
        self._lvm.snapshot(origin.name, name, origin.size_bytes // LB_BYTES * 6 // 5 * LB_BYTES)

    def _check_can_grow(self, volume: str) -> None:
        gids = {
            gid
            for is_temporary in (False, True)
            for gid in self._catalogue.gids(volume, RESTORED_PREFIX, is_temporary=is_temporary)
        }
        if gids:
            raise BadState(
                f"base image cannot grow while it has restored volumes:{volume}:{','.join(map(str, sorted(gids)))}",
                f"'del-restored {volume} GID' them first; images in a thin pool (-tp) have no such limit",
            )

    def _zero(self, name: str, begin_lb: int, end_lb: int) -> None:
        self._write_zeros(name, begin_lb, end_lb)
