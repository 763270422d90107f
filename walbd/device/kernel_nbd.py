"""The kernel's NBD devices: /dev/nbdN given to, and taken from, a walb device (netlink in a child process, sysfs)."""

from __future__ import annotations

import errno
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from walbd.device.control import Json, decode_line, encode_line, result_of
from walbd.device.nbd_netlink import CONNECT, DISCONNECT, NODE_PREFIX, RECONFIGURE
from walbd.model.error import BadState, InvalidArgument, StorageFailure
from walbd.model.limits import LB_BYTES

SYSFS_BLOCK = Path("/sys/block")
MAX_INDEX = 65535
CALL_SEC = 60.0
_NODE = re.compile(re.escape(NODE_PREFIX) + r"(0|[1-9]\d{0,4})")


@dataclass(frozen=True, slots=True)
class Link:
    """How the kernel keeps a device. `identifier` guards it against strangers; a request lost with its connection, or
    not answered, is sent again `timeout_sec` after it was sent first; without a connection I/O waits `dead_sec`."""

    identifier: str
    timeout_sec: int
    dead_sec: int


def parse_node(path: str) -> int:
    """The index of /dev/nbdN."""
    match = _NODE.fullmatch(path)
    if match is None or int(match[1]) > MAX_INDEX:
        raise InvalidArgument(f"no NBD device: {path[:80]}", f"write {NODE_PREFIX}0 to {NODE_PREFIX}{MAX_INDEX}")
    return int(match[1])


def node_of(index: int) -> str:
    """/dev/nbdN."""
    return f"{NODE_PREFIX}{index}"


def netlink_child(request: Json, sock: socket.socket | None) -> Json:
    """Runs nbd_netlink; the child's copy of the socket is the one the kernel takes. Blocks."""
    fds = () if sock is None else (sock.fileno(),)
    command = [sys.executable, "-m", "walbd.device.nbd_netlink", encode_line(request).decode(), *map(str, fds)]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, pass_fds=fds, timeout=CALL_SEC, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StorageFailure(f"cannot talk to the kernel's NBD client: {error}") from error
    if done.returncode:
        raise StorageFailure(f"cannot talk to the kernel's NBD client: {done.stderr.decode(errors='replace')[-200:]}")
    return result_of(decode_line(done.stdout))


class KernelNbd:
    """All methods block. The parameters are for tests."""

    def __init__(
        self, call: Callable[[Json, socket.socket | None], Json] = netlink_child, sysfs: Path = SYSFS_BLOCK
    ) -> None:
        self._call = call
        self._sysfs = sysfs

    def connect(self, index: int | None, link: Link, size_bytes: int, flags: int, sock: socket.socket) -> int:
        """Makes /dev/nbdN (index None: the first free one) a device whose requests go to the socket; returns N. Raises
        BadState when it is in use."""
        request: Json = {
            "command": CONNECT,
            "index": index,
            "size_bytes": size_bytes,
            "block_size_bytes": LB_BYTES,
            "timeout": link.timeout_sec,
            "server_flags": flags,
            "dead_conn_timeout": link.dead_sec,
            "backend_identifier": link.identifier,
        }
        return int(self._call(request, sock)["index"])

    def reconnect(self, index: int, link: Link, size_bytes: int, sock: socket.socket) -> None:
        """Gives a device whose connection is dead a new one, and its present size. When the kernel thinks the old one
        alive it takes no new one: the socket is closed then."""
        request = {
            **_of(index, link),
            "size_bytes": size_bytes,
            "timeout": link.timeout_sec,
            "dead_conn_timeout": link.dead_sec,
        }
        self._call(request, sock)

    def resize(self, index: int, link: Link, size_bytes: int) -> None:
        """Tells the kernel a new size."""
        self._call({**_of(index, link), "size_bytes": size_bytes}, None)

    def disconnect(self, index: int) -> None:
        """Ends a connection: what is in flight fails, the node has no content any more."""
        self._call({"command": DISCONNECT, "index": index}, None)

    @contextmanager
    def unused(self, index: int) -> Iterator[None]:
        """Claims a device, so that nobody mounts it meanwhile. Raises BadState when it is mounted or a part of
        something."""
        node = node_of(index)
        try:
            fd = os.open(node, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC)
        except OSError as error:
            if error.errno == errno.EBUSY:
                remedy = "is it mounted, swap, or a physical volume? end that first"
                raise BadState(f"{node} is in use", remedy) from error
            raise StorageFailure(f"cannot open {node}: {error.strerror}") from error
        try:
            yield
        finally:
            os.close(fd)

    def find(self, identifier: str) -> int | None:
        """The index of the device connected under an identifier."""
        for path in self._sysfs.glob("nbd*/backend"):
            try:
                if path.read_text().strip() == identifier:
                    return int(path.parent.name.removeprefix("nbd"))
            except OSError:
                continue  # disconnected meanwhile
        return None

    def numbers(self, index: int) -> tuple[int, int]:
        """(major, minor)."""
        try:
            major, minor = (self._sysfs / f"nbd{index}" / "dev").read_text().split(":")
        except OSError as error:
            raise StorageFailure(f"{node_of(index)} is gone: {error.strerror}") from error
        return int(major), int(minor)


def _of(index: int, link: Link) -> Json:
    return {"command": RECONFIGURE, "index": index, "backend_identifier": link.identifier}
