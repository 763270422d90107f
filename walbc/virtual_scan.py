"""virt-full-scan: the image of a snapshot, written to a file, a block device or standard output (walbc.md 5.4)."""

from __future__ import annotations

import asyncio
import os
import stat
from functools import partial

from walbc.options import Request
from walbc.waiting import shown
from walbd.model.compression import CompressionType
from walbd.model.error import InvalidArgument, StorageFailure
from walbd.model.limits import DEFAULT_BULK_BYTES, LB_BYTES
from walbd.model.size import parse_size
from walbd.net.client import connect
from walbd.net.connection import Timing
from walbd.net.handshake import Identity
from walbd.net.messages import PeerKind, Progress
from walbd.net.stream import Hooks
from walbd.net.virtual_scan import COMMAND, ScanReceiver, ScanRequest
from walbd.wdiff.codec import decompress
from walbd.world.files import Files
from walbd.world.output import STANDARD_OUTPUT, Output, open_output
from walbd.world.world import World

_STDOUT = "stdout"
_ZEROS = memoryview(bytes(1 << 20))


class OutputSink:
    """Writes an image in sequence; in a new file zeros are holes. Blocks. Raises StorageFailure."""

    def __init__(self, output: Output, name: str) -> None:
        self._output = output
        self._name = name

    def write(self, _: int, data: memoryview) -> None:
        try:
            while data:
                data = data[os.write(self._output.fd, data) :]
        except OSError as error:
            raise self._failure(error) from error

    def zeros(self, offset: int, length: int) -> None:
        if self._output.is_file:
            os.lseek(self._output.fd, offset + length, os.SEEK_SET)
            return
        while length:
            count = min(length, len(_ZEROS))
            self.write(offset, _ZEROS[:count])
            length -= count

    def finish(self, size_bytes: int) -> None:
        """Makes the image durable and, in a new file, visible."""
        try:
            if self._output.is_file:
                os.ftruncate(self._output.fd, size_bytes)
        except OSError as error:
            raise self._failure(error) from error
        self._output.commit()

    def check_room(self, size_bytes: int) -> None:
        """Raises InvalidArgument when the output is a block device that is too small."""
        if stat.S_ISBLK(os.fstat(self._output.fd).st_mode):
            has_bytes = os.lseek(self._output.fd, 0, os.SEEK_END)
            os.lseek(self._output.fd, 0, os.SEEK_SET)
            if has_bytes < size_bytes:
                raise InvalidArgument(
                    f"device too small:{self._name}:{has_bytes}:{size_bytes}", "give a device as large as the volume"
                )

    def _failure(self, error: OSError) -> StorageFailure:
        return StorageFailure(f"cannot write {self._name}: {error.strerror}")


def run(request: Request) -> list[str]:
    """Carries the command out. Raises what connecting and writing raise, and Refused with the archive's reason."""
    asyncio.run(_scan(request))
    return []


async def _scan(request: Request) -> None:
    world = World()
    place, scan = request.parameters[0], _scan_request(request.parameters[1:])
    timing = Timing(request.timeout_sec)
    me = Identity(request.client_id, PeerKind.CONTROL)
    async with await connect(world, request.server, COMMAND, me, timing) as connection:
        receiver = ScanReceiver(connection, scan)
        size_lb = await receiver.ask()
        size_bytes = size_lb * LB_BYTES
        # Only now: what is refused must not touch the place.
        with open_output(STANDARD_OUTPUT if place == _STDOUT else place, Files()) as output, shown(request) as waiting:
            waiting.begin()
            sink = OutputSink(output, place)
            sink.check_room(size_bytes)
            hooks = Hooks(progress=lambda done: waiting.show(Progress(done, size_bytes, "bytes", "copy")))
            await receiver.receive_image(size_lb, sink, partial(decompress, CompressionType.SNAPPY), hooks)
            await world.run(sink.finish, size_bytes)
        await receiver.confirm()


def _scan_request(parameters: list[str]) -> ScanRequest:
    """VOL GID [BULK [SIZE [PCT]]]."""
    volume, gid, *rest = parameters
    bulk_bytes = parse_size(rest[0]) if rest else DEFAULT_BULK_BYTES
    size_lb = parse_size(rest[1]) // LB_BYTES if len(rest) > 1 else 0
    return ScanRequest(volume, int(gid), bulk_bytes, size_lb, int(rest[2]) if len(rest) > 2 else 0)
