"""The life of walb-archive: what the common daemon does not know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import ClassVar

from walbd.archive.archive import Archive
from walbd.archive.commands import command_table
from walbd.archive.loading import load_volume
from walbd.archive.options import ArchiveSettings
from walbd.archive.queries import Queries
from walbd.archive.receive_backup import receive_full_backup
from walbd.archive.receive_hash_backup import receive_hash_backup
from walbd.archive.receive_replication import receive_replication
from walbd.archive.receive_wdiff import receive_wdiff
from walbd.archive.scan import send_scan
from walbd.archive.status import status_lines
from walbd.archive.volume import ArchiveVolume
from walbd.image.lvm.make import make_lvm_store
from walbd.image.plain_files import PlainFileStore
from walbd.image.store import ImageStore
from walbd.model.error import InvalidArgument
from walbd.net import full_backup, hash_backup, replication, virtual_scan, wdiff_transfer
from walbd.net.server import Handler
from walbd.server.commands import Command, GetHandler
from walbd.server.daemon import Daemon
from walbd.world.files import Files


def image_store(settings: ArchiveSettings, files: Files) -> ImageStore:
    """The store that the options name, not opened. Raises InvalidArgument."""
    if settings.volume_group:
        return make_lvm_store(settings.volume_group, settings.thin_pool)
    if settings.thin_pool:
        raise InvalidArgument(f"-tp {settings.thin_pool} without -vg", "name the volume group of the pool")
    return PlainFileStore(Path(settings.base_dir), files)


class ArchiveDaemon(Daemon[ArchiveSettings, ArchiveVolume]):
    """walb-archive."""

    kind: ClassVar[str] = "archive"
    creates_base: ClassVar[bool] = False

    @cached_property
    def archive(self) -> Archive:
        """What the parts of this daemon share."""
        return Archive(
            self.settings, self.runtime, self.works, self.volumes, self.make_store(), self.identity, self.timing
        )

    def make_store(self) -> ImageStore:
        """Where the images are. Tests have others."""
        return image_store(self.settings, self.runtime.world.files)

    @classmethod
    def check_settings(cls, settings: ArchiveSettings) -> list[str]:
        store = image_store(settings, Files())
        store.open()
        store.close()
        return []

    async def recover(self, volume_names: list[str]) -> None:
        await self.runtime.world.run(self.archive.store.open)
        for name in volume_names:
            await load_volume(self.archive, name)

    async def end_service(self) -> None:
        await self.runtime.world.run(self.archive.store.close)

    def command_table(self) -> Mapping[str, Command]:
        return command_table(self.archive)

    def get_table(self) -> Mapping[str, GetHandler]:
        return Queries(self.archive).targets()

    async def status(self, params: list[str]) -> Sequence[str]:
        return await status_lines(self.archive, params)

    def data_conversations(self) -> Mapping[str, Handler]:
        return {
            full_backup.COMMAND: partial(receive_full_backup, self.archive),
            hash_backup.COMMAND: partial(receive_hash_backup, self.archive),
            wdiff_transfer.COMMAND: partial(receive_wdiff, self.archive),
            replication.COMMAND: partial(receive_replication, self.archive),
            virtual_scan.COMMAND: partial(send_scan, self.archive),
        }
