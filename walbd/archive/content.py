"""What the metadata of one volume says, in memory (snapshot-model.md sections 10, 11)."""

from __future__ import annotations

from dataclasses import dataclass, field

from walbd.model.algebra import apply_state
from walbd.model.diff import Diff
from walbd.model.diff_set import DiffSet
from walbd.model.error import BadState
from walbd.model.selection import chain_to_gid, latest_state, oldest_state
from walbd.model.state import NO_BASE, MetaState
from walbd.model.uuid_text import NIL_UUID


@dataclass(slots=True)
class Content:
    """The present history of a volume. Changed only after the same change is durable in its files."""

    uuid: bytes = NIL_UUID
    """Of the log generation whose diffs are taken."""
    archive_uuid: bytes = NIL_UUID
    base: MetaState = NO_BASE
    """What the base image holds."""
    diffs: DiffSet = field(default_factory=DiffSet)
    latest: MetaState = NO_BASE
    """What the base and all diffs that can be reached from it make; never applying."""
    cold_times: dict[int, int] = field(default_factory=dict)
    """The cold images: gid and UNIX time of each."""

    def begin_history(self, base: MetaState, archive_uuid: bytes, uuid: bytes) -> None:
        """A full backup is done."""
        self.base, self.archive_uuid, self.uuid = base, archive_uuid, uuid
        self.diffs = DiffSet()
        self.latest = base
        self.cold_times = {}

    def add(self, diff: Diff) -> None:
        """A diff that fits the latest snapshot is stored."""
        self.diffs.add(diff)
        # More than this diff when it fills the gap before diffs that were kept.
        self.latest = apply_state(self.latest, chain_to_gid(self.diffs, self.latest))

    def check_not_applying(self, name: str) -> None:
        """Raises BadState while the base image of the volume is half applied."""
        if self.base.is_applying:
            gid = oldest_state(self.diffs, self.base).snapshot_begin.gid_begin
            raise BadState(f"base image is half applied:{name}:{self.base}", f"'apply {name} {gid}' completes it")

    def recompute_latest(self) -> None:
        """Raises BadState when the base is half applied and cannot be completed."""
        self.latest = latest_state(self.diffs, self.base)
