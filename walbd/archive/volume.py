"""A volume of an archive: its metadata in memory, its files and images."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from walbd.archive.content import Content
from walbd.archive.diff_use import DiffUse
from walbd.archive.states import ACTIONS, ACTIVE, ARCHIVED, RULES, STATES, STOP, STOPPED, WDIFF_RECV
from walbd.archive.volume_files import VolumeFiles
from walbd.image.store import ImageStore
from walbd.model.diff import Diff
from walbd.model.error import NotFound
from walbd.model.limits import LB_BYTES
from walbd.net.tasks import run_to_end
from walbd.server.interrupt import unless_cancelled
from walbd.server.runtime import Runtime
from walbd.server.state_machine import CLEAR
from walbd.server.stop_state import StopMode
from walbd.server.tasks import Work
from walbd.server.volume import Volume

T = TypeVar("T")


class ArchiveVolume(Volume):
    """One volume. Used from the event loop; `files` and `store` block and are called through World.run."""

    def __init__(self, name: str, runtime: Runtime, base_folder: Path, store: ImageStore, state: str = CLEAR) -> None:
        super().__init__(name, runtime, STATES, RULES, ACTIONS, state)
        self.files = VolumeFiles(base_folder / name, runtime.world.files)
        self.store = store
        self.content = Content()
        self.diff_use = DiffUse(name)
        self.base_lock = asyncio.Lock()
        """Held by whoever makes, replaces or removes the base image, and by whoever copies it."""
        self.progress_lb = 0
        """Blocks of the running backup or replication that have arrived or were compared."""
        self.last_sync_sec = 0
        self.last_wdiff_sec = 0

    @property
    def is_active(self) -> bool:
        return self.failure is None and self.machine.state in ACTIVE

    async def base_size_lb(self) -> int:
        """Size of the base image. Raises NotFound, as after someone removed it behind the server's back."""
        size_lb = await self.runtime.world.run(self.store.base_size_lb, self.name)
        if size_lb is None:
            raise NotFound(
                f"base image does not exist:{self.name}", "back the volume up first; if it was, bring the image back"
            )
        return size_lb

    @contextmanager
    def counted_progress(self) -> Iterator[None]:
        """While something arrives whose progress_lb is told."""
        self.progress_lb = 0
        try:
            yield
        finally:
            self.progress_lb = 0

    async def until_no_diff_arrives(self) -> None:
        """Lets a diff that is being received come first. Nothing is awaited after the last look."""
        while self.machine.state == WDIFF_RECV and not self.is_cancelled():
            await self.runtime.changes.wait_for(lambda: self.machine.state != WDIFF_RECV or self.is_cancelled())

    def telling_progress(self, work: Work) -> Callable[[int], None]:
        """What tells progress in bytes to work and to `get progress`."""

        def tell(done_bytes: int) -> None:
            work.done = done_bytes
            self.progress_lb = done_bytes // LB_BYTES

        return tell

    @asynccontextmanager
    async def reading(self, what: str, gid: int, diffs: Iterable[Diff]) -> AsyncIterator[None]:
        """While a gid is read from the base and these diffs: neither goes away. Nothing is awaited before it holds.
        Raises BadState while an apply beyond gid runs."""
        reader = self.diff_use.begin(what, gid, diffs)
        try:
            yield
        finally:
            await self._remove_files(self.diff_use.end(reader))

    async def drop_diffs(self, diffs: Iterable[Diff]) -> None:
        """Takes diffs out of the history. Their files go now, or when nobody reads them any more."""
        gone = list(diffs)
        for diff in gone:
            self.content.diffs.remove(diff)
        await self._remove_files(self.diff_use.condemn(gone))

    async def _remove_files(self, diffs: list[Diff]) -> None:
        present = self.content.diffs
        # A later diff may have got the same name meanwhile.
        names = [diff.file_name for diff in diffs if diff not in present]
        if names:
            await run_to_end(self.runtime.world, self.files.remove_wdiffs, names)

    async def unless_cancelled(self, step: Coroutine[Any, Any, T]) -> T:
        """Runs a step that may wait for a peer. A forced stop or shutdown ends it at once: raises Cancelled."""
        return await unless_cancelled(self.runtime.changes, self.is_cancelled, self.name, step)

    def stop_transition(self, mode: StopMode) -> str | None:
        return STOP if self.machine.state == ARCHIVED else None

    async def end_service(self, mode: StopMode) -> None:
        await self.runtime.world.run(self.files.save_state, STOPPED)
