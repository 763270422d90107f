"""The life of walb-archive: what the common daemon does not know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, partial
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
from walbd.archive.volume import ArchiveVolume
from walbd.archive.volume_files import VolumeFiles
from walbd.image.plain_files import PlainFileStore
from walbd.model.error import WalbError
from walbd.net import full_backup, wdiff_transfer
from walbd.net.server import Handler
from walbd.server.commands import Command, GetHandler
from walbd.server.daemon import Daemon


class ArchiveDaemon(Daemon[ArchiveSettings, ArchiveVolume]):
    """walb-archive with plain-file images."""

    kind: ClassVar[str] = "archive"
    creates_base: ClassVar[bool] = False

    @cached_property
    def archive(self) -> Archive:
        """What the parts of this daemon share."""
        store = PlainFileStore(self.base_dir, self.runtime.world.files)
        return Archive(self.settings, self.runtime, self.works, self.volumes, store)

    async def recover(self, volume_names: list[str]) -> None:
        for name in volume_names:
            self.volumes.add(await self._recover_volume(name))

    async def _recover_volume(self, name: str) -> ArchiveVolume:
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
            return volume
        for line in found.infos:
            log.info(line)
        for line in found.warnings:
            log.warning(line)
        volume = self.archive.new_volume(name, found.state)
        volume.content = found.content
        return volume

    def command_table(self) -> Mapping[str, Command]:
        return command_table(self.archive)

    def get_table(self) -> Mapping[str, GetHandler]:
        return Queries(self.archive).targets()

    async def status(self, params: list[str]) -> Sequence[str]:
        return await status_lines(self.archive, params)

    def data_conversations(self) -> Mapping[str, Handler]:
        return {
            full_backup.COMMAND: partial(receive_full_backup, self.archive),
            wdiff_transfer.COMMAND: partial(receive_wdiff, self.archive),
        }
