"""The queue of one archive: its diffs, how it is reached, and how sending goes (servers.md section 4.5)."""

from __future__ import annotations

from dataclasses import dataclass

from walbd.model.archive_info import ArchiveInfo
from walbd.proxy.diff_folder import DiffFolder


@dataclass
class ArchiveQueue:
    """What a proxy volume knows of one archive. Times are seconds since the epoch, 0 = never."""

    name: str
    info: ArchiveInfo
    folder: DiffFolder
    is_send_error: bool = False
    last_sent: int = 0
    # When the archive began to refuse, 0 = it does not.
    refused_since: int = 0

    def clear_error(self) -> None:
        """Sending may be tried again."""
        self.is_send_error = False
        self.refused_since = 0
