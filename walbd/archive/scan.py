"""bhash and virt-full-scan (servers.md section 5.13): reading the image of a snapshot without applying anything.

A discarded range reads as zeros, as it does everywhere (docs/architecture.md, one gid, one content).
"""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

from walbd.archive.archive import Archive
from walbd.archive.asker import Asker
from walbd.archive.volume import ArchiveVolume
from walbd.model.compression import CompressionType
from walbd.model.error import InvalidArgument
from walbd.model.limits import LB_BYTES
from walbd.model.selection import to_scan
from walbd.net.connection import Connection
from walbd.net.stream import Hooks
from walbd.net.tasks import run_to_end
from walbd.net.virtual_scan import COMMAND, ScanSender
from walbd.server.tasks import Slots, Work
from walbd.wdiff.codec import compress
from walbd.wdiff.hashes import BulkHash
from walbd.wdiff.virtual import VirtualImage
from walbd.world.throttle import Throttle

# As walbd.wdiff.virtual: memory that begins at a page border.
STEP_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Scanned:
    """An image being read in sequence; `size_lb` blocks of it are wanted."""

    volume: ArchiveVolume
    image: VirtualImage
    size_lb: int


@contextlib.asynccontextmanager
async def scanned(archive: Archive, name: str, what: str, gid: int, size_lb: int) -> AsyncIterator[Scanned]:
    """The image of a gid, for the command `what`; the rest is as with `open_image`."""
    volume = archive.volumes.get(name)
    volume.check(what)
    async with open_image(archive, volume, what, gid, size_lb) as scan:
        yield scan


@contextlib.asynccontextmanager
async def open_image(
    archive: Archive, volume: ArchiveVolume, what: str, gid: int, size_lb: int
) -> AsyncIterator[Scanned]:
    """The image of a gid, clean or dirty; size_lb 0 means all of it. What it is made of is chosen before anything is
    awaited. Raises NotFound, BadState, InvalidArgument when the image is smaller."""
    name, content = volume.name, volume.content
    diffs = to_scan(content.diffs, content.base, gid, archive.settings.max_open_scan)
    async with volume.reading(what, gid, diffs):
        base_lb = await volume.base_size_lb()
        if size_lb > base_lb:
            raise InvalidArgument(f"{what}:bad size:{name}:{size_lb}:{base_lb}", "the image is smaller")
        wanted_lb = size_lb or base_lb
        async with volume.base_lock:
            fd = await archive.world.run(volume.store.open_base, name)
        try:
            paths = [volume.files.diff_path(diff) for diff in diffs]
            image = await run_to_end(archive.world, VirtualImage, fd, paths, wanted_lb * LB_BYTES)
            try:
                yield Scanned(volume, image, wanted_lb)
            finally:
                await run_to_end(archive.world, image.close)
        finally:
            os.close(fd)


async def image_hash(archive: Archive, name: str, gid: int, bulk_bytes: int, size_lb: int, asker: Asker) -> bytes:
    """The hash of an image, 16 bytes (wdiff-format.md section 11.3)."""
    async with scanned(archive, name, "bhash", gid, size_lb) as scan:
        with archive.works.begin("bhash", name, Slots.UNLIMITED, scan.volume.is_cancelled) as work:
            work.total = scan.size_lb * LB_BYTES
            await asker.accept()
            return await run_to_end(archive.world, _hash, scan.image, bulk_bytes, work, asker)


def _hash(image: VirtualImage, bulk_bytes: int, work: Work, asker: Asker) -> bytes:
    """Blocks."""
    digest, buffer = BulkHash(bulk_bytes), memoryview(mmap.mmap(-1, STEP_BYTES))
    while count := image.read(buffer):
        work.check_cancelled()
        digest.update(buffer[:count])
        work.done += count
        asker.progress(work.done, work.total, work.unit)
    return digest.digest()


async def send_scan(archive: Archive, connection: Connection) -> None:
    """Serves one `virt-full-scan` conversation."""
    sender = ScanSender(connection)
    request = await sender.receive_request()
    async with scanned(archive, request.volume, COMMAND, request.gid, request.size_lb) as scan:
        volume = scan.volume
        total_bytes = scan.size_lb * LB_BYTES
        with archive.works.begin(COMMAND, volume.name, Slots.FOREGROUND, volume.is_cancelled, total_bytes) as work:
            await sender.accept(scan.size_lb)
            throttle = Throttle(request.sleep_percentage, work.is_cancelled)

            def read_at(_: int, memory: memoryview) -> None:
                scan.image.read(memory)
                throttle.pause()

            hooks = Hooks(work.set_done, work.is_cancelled)
            sending = sender.send_image(read_at, scan.size_lb, partial(compress, CompressionType.SNAPPY, 0), hooks)
            await volume.unless_cancelled(sending)
