"""wdevc attach and detach: a user-space device as a block device of the kernel."""

from __future__ import annotations

import asyncio
from pathlib import Path

from walbd.device.attachment import MAX_TIMEOUT_SEC, AttachmentFolder
from walbd.device.control import CONTROL_SUFFIX
from walbd.device.kernel_nbd import KernelNbd, parse_node
from walbd.device.resolve import resolve_device
from walbd.device.user.sockets import SocketFolder
from walbd.device.user_device import UserDevice
from walbd.model.error import InvalidArgument, NotFound, PeerUnreachable
from walbd.model.limits import check_device_name
from walbd.world.files import Files

DEFAULT_TIMEOUT_SEC = 30
# As long as a freeze may last: I/O that fails is worse than I/O that waits, and `detach -f` ends the waiting.
DEFAULT_DEAD_SEC = MAX_TIMEOUT_SEC


async def attach(spec: str, socket_dir: Path, node: str | None, timeout_sec: int, dead_sec: int) -> str:
    """Attaches the device of that name; returns the /dev/nbdN it became."""
    index = None if node is None else parse_node(node)
    device = _user_device(spec, socket_dir)
    try:
        return await device.attach(index, timeout_sec, dead_sec)
    finally:
        await device.close()


async def detach(spec: str, socket_dir: Path, is_forced: bool) -> None:
    """Detaches it, with the help of its server or, when that does not run, without."""
    try:
        device = _user_device(spec, socket_dir)
        try:
            await device.detach(is_forced)
        finally:
            await device.close()
    except (NotFound, PeerUnreachable) as error:
        name = check_device_name(Path(spec).name.removesuffix(CONTROL_SUFFIX))
        folder = Path(spec).parent if spec.endswith(CONTROL_SUFFIX) else socket_dir
        if not AttachmentFolder(folder, name, Files()).is_recorded():
            raise error
        await asyncio.to_thread(_detach_without_server, folder, name, is_forced)


def _detach_without_server(folder: Path, name: str, is_forced: bool) -> None:
    sockets = SocketFolder(folder, name)
    sockets.take()  # no server starts meanwhile
    try:
        AttachmentFolder(folder, name, Files()).detach(KernelNbd(), is_forced)
    finally:
        sockets.remove()


def _user_device(spec: str, socket_dir: Path) -> UserDevice:
    device = resolve_device(spec, socket_dir)
    if not isinstance(device, UserDevice):
        raise InvalidArgument(f"{spec} is a device of the kernel driver", "it needs no attaching")
    return device
