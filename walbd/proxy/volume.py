"""A volume of walb-proxy: its archives, their queues and its states (servers.md sections 4.1 to 4.3, 4.7)."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from walbd.model.archive_info import ArchiveInfo
from walbd.model.diff import Diff
from walbd.model.error import AlreadyExists, BadState, NotFound, StorageFailure, WalbError
from walbd.model.limits import check_archive_name
from walbd.net.tasks import run_to_end
from walbd.proxy import volume_files
from walbd.proxy.context import Context, SendKey
from walbd.proxy.queue import ArchiveQueue
from walbd.proxy.states import (
    ADD_ARCHIVE_INFO,
    CLEAR_VOL,
    DELETE_ARCHIVE_INFO,
    RULES,
    START,
    STARTED,
    STATES,
    STOP,
    STOPPED,
    WAIT_FOR_EMPTY,
)
from walbd.server.state_machine import CLEAR
from walbd.server.stop_state import StopMode
from walbd.server.volume import Volume
from walbd.server.volume_files import VolumeFolder, create_folder, remove_folder


class ProxyVolume(Volume):
    """One volume. `distribute` is the only way from `received` into the queues."""

    def __init__(self, name: str, context: Context, state: str = CLEAR) -> None:
        super().__init__(name, context.runtime, STATES, RULES, state=state)
        self.context = context
        self.folder = VolumeFolder(context.runtime.world.files, context.base / name)
        self.size_lb = 0
        self.queues: dict[str, ArchiveQueue] = {}
        self.received = volume_files.received_folder(self.folder)
        self.last_wlog_received = 0

    def load(self) -> None:
        """Reads the volume's files; blocks. Raises StorageFailure and Corrupted."""
        log = self.runtime.log
        self.size_lb = volume_files.load_size_lb(self.folder, log)
        for name in volume_files.archive_names(self.folder, log):
            info = volume_files.load_info(self.folder, name)
            queue = ArchiveQueue(name, info, volume_files.queue_folder(self.folder, name))
            queue.folder.load(log)
            self.queues[name] = queue
            self.actions.add(name)
        for second in self.received.load(log):
            second.unlink(missing_ok=True)  # neither was acknowledged
        for orphan in volume_files.queues_without_archive(self.folder):
            log.warning("ignored the queue of an archive without information", self.name, orphan)
        swept = sum(self.folder.files.sweep_temporary(path) for path in self._folders())
        if swept:
            log.info(f"{self.name}:garbage collected tmp files", swept)

    def _folders(self) -> list[Path]:
        return [self.folder.path, self.received.path, *(queue.folder.path for queue in self.queues.values())]

    async def distribute(self, new: Diff | None = None) -> None:
        """Links everything received into every queue and forgets it in `received`. When it returns, each queue is
        durable (W11).

        `new` replaces a diff of the same identity in a queue: that is an earlier transfer of the same range, or belongs
        to a log that was cleared since. What an interruption has left in `received` does not: the queue's may be the
        newer one, and the storage was not told that we have the other."""
        world, diffs = self.runtime.world, list(self.received.diffs)
        if not diffs or not self.queues:
            return
        for queue in self.queues.values():
            async with queue.files_lock:
                # Out of the set first, so that sending does not choose a file that is being replaced.
                replaced = queue.folder.forget([new] if new else [])
                missing = queue.folder.without(diffs)
                await run_to_end(world, queue.folder.link_files, self.received, missing, replaced)
                queue.folder.note(missing)
        self.received.forget(diffs)
        await run_to_end(world, self.received.unlink_files, diffs)

    async def take_received(self, diff: Diff) -> None:
        """A wdiff was committed in `received`: puts it into the queues."""
        world = self.runtime.world
        sized = await run_to_end(world, self.received.sized, diff)
        replaced = [old for old in self.received.forget([diff]) if old.file_name != diff.file_name]
        await run_to_end(world, self.received.unlink_files, replaced)
        self.received.note([sized])
        await self.distribute(sized)

    def check_has_archives(self) -> None:
        """Raises BadState: log that goes to no archive would be lost."""
        if not self.queues:
            raise BadState(f"no archive is known:{self.name}", f"stop it and use 'archive-info add {self.name} ...'")

    def queue(self, archive: str) -> ArchiveQueue:
        """Raises NotFound."""
        found = self.queues.get(archive)
        if found is None:
            raise NotFound(f"archive info not exists:{archive[:80]}", f"see 'archive-info list {self.name}'")
        return found

    def push_tasks(self, *, honours_delay: bool = False) -> None:
        """Queues a sending task per archive."""
        for name, queue in self.queues.items():
            delay_sec = queue.info.delay_sec if honours_delay else 0
            self.context.queue.push(SendKey(self.name, name), delay_sec)

    def retry_now(self, queues: Collection[ArchiveQueue]) -> None:
        """An operator wants these sent: forgets what has failed before."""
        for queue in queues:
            queue.clear_error()
            self.context.lost_archives.forget(queue.info.address)
        names = {queue.name for queue in queues}
        self.push_tasks()
        self.context.queue.kick(lambda key: key.volume == self.name and key.archive in names)

    async def start(self) -> None:
        """Stopped -> Started."""
        self.check("start")
        self.check_has_archives()
        with self.machine.begin(START) as change:
            await self.distribute()
            await self.runtime.world.run(volume_files.save_state, self.folder, STARTED)
            change.commit()
        self.retry_now(list(self.queues.values()))

    async def add_archive(self, name: str, info: ArchiveInfo) -> None:
        """Clear, Stopped -> Stopped. Raises AlreadyExists; nothing is changed then (W34)."""
        self.check("archive-info add")
        check_archive_name(name)
        if name in self.queues:
            raise AlreadyExists(f"already exists:{name}", "use 'archive-info update' to change it")
        await self._save_archive(name, info)

    async def update_archive(self, name: str, info: ArchiveInfo) -> None:
        """Clear, Stopped -> Stopped: changes an archive, or adds it when it is missing."""
        self.check("archive-info update")
        check_archive_name(name)
        await self._save_archive(name, info)

    async def _save_archive(self, name: str, info: ArchiveInfo) -> None:
        run = self.runtime.world.run
        with self.machine.begin(ADD_ARCHIVE_INFO) as change:
            if old := self.queues.get(name):
                await run(volume_files.change_info, self.folder, name, old.info, info)
                old.info = info
            else:
                queue = ArchiveQueue(name, info, volume_files.queue_folder(self.folder, name))
                await run(self._create if change.begin == CLEAR else self._add, queue)
                self.queues[name] = queue
                self.actions.add(name)
            change.commit()
        self.context.volumes.add(self)

    def _add(self, queue: ArchiveQueue) -> None:
        """A later archive, or nothing but the folder of its queue."""
        volume_files.make_queue(self.folder, queue.name)
        queue.folder.load(self.runtime.log)
        volume_files.add_info(self.folder, queue.name, queue.info)

    def _create(self, queue: ArchiveQueue) -> None:
        """The whole volume with its first archive, or nothing."""

        def fill(folder: VolumeFolder) -> None:
            volume_files.fill(folder)
            volume_files.save_state(folder, STOPPED)
            volume_files.make_queue(folder, queue.name)
            volume_files.add_info(folder, queue.name, queue.info)

        create_folder(self.folder.files, self.folder.path, fill)

    async def delete_archive(self, name: str) -> None:
        """Stopped -> Stopped, or Clear after the last one. A name that is not there is no error, and nothing is
        removed for it (W2). Raises StorageFailure, the archive being gone, when its queue cannot be removed."""
        self.check("archive-info delete")
        check_archive_name(name)
        if name not in self.queues:
            return
        with self.machine.begin(DELETE_ARCHIVE_INFO) as change:
            is_last = len(self.queues) == 1
            if is_last:
                await self._remove()
            else:
                await self.runtime.world.run(volume_files.delete_info, self.folder, name)
            del self.queues[name]
            self.actions.remove(name)
            self.context.works.forget(self.name)
            try:
                if not is_last:
                    await self.runtime.world.run(volume_files.remove_queue, self.folder, name)
            finally:
                change.commit(CLEAR if is_last else STOPPED)
        if is_last:
            self.context.volumes.remove(self.name)

    async def clear(self) -> None:
        """Stopped -> Clear: everything goes, unsent wdiffs included."""
        self.check("clear-vol")
        with self.machine.begin(CLEAR_VOL) as change:
            await self._remove()
            change.commit()
        self.context.volumes.remove(self.name)
        self.context.works.forget(self.name)

    async def _remove(self) -> None:
        await self.runtime.world.run(remove_folder, self.folder.files, self.folder.path)

    async def grow(self, size_lb: int) -> None:
        """Remembers that the storage's device is larger than known."""
        if size_lb > self.size_lb:
            self.runtime.log.info("detect volume grow", self.name, self.size_lb, size_lb)
            await self.set_size(size_lb)

    async def set_size(self, size_lb: int) -> None:
        """Makes the size that archives are told durable."""
        await self.runtime.world.run(volume_files.save_size_lb, self.folder, size_lb)
        self.size_lb = size_lb

    def is_empty(self) -> bool:
        return not any(len(queue.folder.diffs) for queue in self.queues.values())

    def stop_transition(self, mode: StopMode) -> str | None:
        return WAIT_FOR_EMPTY if mode is StopMode.EMPTY else STOP

    async def end_service(self, mode: StopMode) -> None:
        # The state first: a volume that cannot be stopped goes on sending.
        await self.runtime.world.run(volume_files.save_state, self.folder, STOPPED)
        self.context.queue.drop(lambda key: key.volume == self.name)


async def load_volume(context: Context, name: str) -> ProxyVolume:
    """The volume in BASE/name, with what a crash left in `received` put into the queues. A volume that cannot be read
    is marked failed, the others go on (W1)."""
    run = context.runtime.world.run
    volume = ProxyVolume(name, context, STOPPED)
    try:
        was_started = await run(volume_files.load_is_started, volume.folder, context.runtime.log)
        volume = ProxyVolume(name, context, STOPPED if context.settings.is_stopped or not was_started else STARTED)
        await run(volume.load)
        await volume.distribute()
    except (WalbError, OSError) as caught:
        error = caught if isinstance(caught, WalbError) else StorageFailure(f"cannot read volume {name}: {caught}")
        remedy = f"repair {volume.folder.path} and restart; wdiffs that were not sent yet lie in its directory sendto"
        volume.mark_failed(type(error)(error.message, error.hint or remedy))
    return volume
