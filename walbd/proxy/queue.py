"""The queue of one archive: its diffs, how it is reached, and how sending goes (servers.md section 4.5)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from walbd.model.archive_info import ArchiveInfo
from walbd.proxy.diff_folder import DiffFolder


@dataclass
class ArchiveQueue:
    """What a proxy volume knows of one archive. `last_sent` is seconds since the epoch, 0 = never."""

    name: str
    info: ArchiveInfo
    folder: DiffFolder
    is_send_error: bool = False
    last_sent: int = 0
    # Since when the archive has refused and done nothing else, on the monotonic clock: a host clock that jumps gives no
    # archive up.
    refused_since: float | None = None
    # Why the last attempt did not succeed, for `status`.
    trouble: str = ""
    # Held while files of the queue are linked or removed: a file of the same name may come while an old one goes.
    files_lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def clear_error(self) -> None:
        """An operator has sending tried again, as if nothing had failed."""
        self.is_send_error = False
        self.refused_since = None

    def retry_for_new_log(self) -> None:
        """New log is worth a try; the time since the archive began to refuse goes on (W24)."""
        self.is_send_error = False
