"""The life of walb-archive: what the common daemon does not know."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import ClassVar

from walbd.archive.archive import Archive
from walbd.archive.commands import command_table
from walbd.archive.options import ArchiveSettings
from walbd.archive.queries import Queries
from walbd.archive.receive_backup import receive_full_backup
from walbd.archive.receive_wdiff import receive_wdiff
from walbd.archive.recovery import recover
from walbd.archive.states import STOPPED
from walbd.archive.status import status_lines
from walbd.archive.volume_files import VolumeFiles
from walbd.image.plain_files import PlainFileStore
from walbd.model.error import WalbError
from walbd.net import full_backup, wdiff_transfer
from walbd.net.server import Conversation
from walbd.server.commands import Commands
from walbd.server.daemon import Daemon
from walbd.server.runtime import Runtime


class ArchiveDaemon(Daemon[ArchiveSettings]):
    """walb-archive with plain-file images."""

    kind: ClassVar[str] = "archive"
    creates_base: ClassVar[bool] = False

    def __init__(self, settings: ArchiveSettings, runtime: Runtime) -> None:
        super().__init__(settings, runtime)
        store = PlainFileStore(Path(settings.base_dir), runtime.world.files)
        self.archive = Archive(settings, runtime, self.works, store)
        self.commands = Commands(
            runtime,
            settings.node_id,
            self.kind,
            self.archive.volumes,
            self.works,
            partial(status_lines, self.archive),
            command_table(self.archive),
            Queries(self.archive).targets(),
        )

    async def recover(self, volume_names: list[str]) -> None:
        for name in volume_names:
            await self._recover_volume(name)

    async def _recover_volume(self, name: str) -> None:
        """One bad volume never stops the others: it is marked failed with the reason."""
        log, store = self.runtime.log, self.archive.store
        files = VolumeFiles(self.base_dir / name, self.runtime.world.files)
        try:
            found = await self.runtime.world.run(recover, name, files, store)
        except WalbError as error:
            log.error(f"initArchiveData:start failed:{name}:{error}")
            # Stopped, so that clear-vol and reset-vol find a state to begin from.
            volume = self.archive.new_volume(name, STOPPED)
            volume.mark_failed(error)
        else:
            volume = self.archive.new_volume(name, found.state)
            volume.content = found.content
            for line in found.infos:
                log.info(line)
            for line in found.warnings:
                log.warning(line)
        self.archive.volumes.add(volume)

    def conversations(self) -> Mapping[str, Conversation]:
        return {
            **self.commands.conversations(),
            full_backup.COMMAND: Conversation(partial(receive_full_backup, self.archive), is_control=False),
            wdiff_transfer.COMMAND: Conversation(partial(receive_wdiff, self.archive), is_control=False),
        }

    def is_idle(self) -> bool:
        return super().is_idle() and not self.commands.running_count
