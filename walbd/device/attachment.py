"""That a user-space device is attached to the kernel: the record SOCKET_DIR/NAME.attached and the link /dev/walb/NAME.

The record comes before the kernel's device and goes after it, so that every crash in between is found by it.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from walbd.device.kernel_device import NODE_FOLDER
from walbd.device.kernel_nbd import MAX_INDEX, KernelNbd, Link, node_of
from walbd.model.error import AlreadyExists, BadState, Corrupted, StorageFailure
from walbd.world.files import Files

RECORD_SUFFIX = ".attached"
MAX_RECORD_BYTES = 4096
MAX_TIMEOUT_SEC = 86_400


@dataclass(frozen=True, slots=True)
class Attachment:
    """One record. `index` is the N of /dev/nbdN that was asked for, None for any."""

    link: Link
    index: int | None


class AttachmentFolder:
    """Record and link of one device. All methods block."""

    def __init__(self, socket_dir: Path, name: str, files: Files, nodes: Path = NODE_FOLDER) -> None:
        self.name = name
        self._record = socket_dir / f"{name}{RECORD_SUFFIX}"
        self.node = nodes / name
        self._files = files

    def is_recorded(self) -> bool:
        """True when there is a record."""
        return self._record.exists()

    def load(self) -> Attachment | None:
        """The record, None when there is none. Raises Corrupted."""
        if not self.is_recorded():
            return None
        text = self._files.load(self._record, MAX_RECORD_BYTES)
        try:
            value = json.loads(text)
            attachment = Attachment(Link(**value["link"]), value["index"])
            _check(attachment)
        except (ValueError, TypeError, KeyError) as error:
            remedy = f"remove it, disconnect the NBD device, and attach {self.name} again"
            raise Corrupted(f"{self._record} is no record of an attached device", remedy) from error
        return attachment

    def save(self, attachment: Attachment) -> None:
        """Makes the record durable."""
        self._files.save(self._record, json.dumps(asdict(attachment)).encode())

    def check_node(self) -> None:
        """Raises AlreadyExists when /dev/walb/NAME is something else than a link."""
        if self.node.exists() and not self.node.is_symlink():
            raise AlreadyExists(f"{self.node} exists", "a device of the kernel driver has that name")

    def make_link(self, index: int) -> None:
        """/dev/walb/NAME leads to /dev/nbdN from now on."""
        self.check_node()
        temporary = self.node.with_name(f"{self.name}.new")
        try:
            self.node.parent.mkdir(mode=0o755, exist_ok=True)
            temporary.unlink(missing_ok=True)
            temporary.symlink_to(node_of(index))
            os.rename(temporary, self.node)
        except OSError as error:
            raise StorageFailure(f"cannot make {self.node}: {error.strerror}", "run walb-device as root") from error

    def remove_link(self) -> None:
        """Removes the link, if it is one."""
        if self.node.is_symlink():
            with contextlib.suppress(OSError):
                self.node.unlink()

    def remove(self) -> None:
        """Removes the link and the record."""
        self.remove_link()
        self._files.remove(self._record)

    def detach(self, kernel: KernelNbd, is_forced: bool) -> None:
        """Takes the device from the kernel; link and record go. Works without a server too. Raises BadState when it is
        not attached, or is in use and is_forced is False."""
        attachment = self.load()
        if attachment is None:
            raise BadState(f"{self.name} is not attached", f"'wdevc attach {self.name}' makes it a disk")
        index = kernel.find(attachment.link.identifier)
        if index is not None:
            with contextlib.nullcontext() if is_forced else kernel.unused(index):
                kernel.disconnect(index)
        self.remove()


def _check(attachment: Attachment) -> None:
    """Raises ValueError when a value is not one that attach writes."""
    link = attachment.link
    numbers = (link.timeout_sec, link.dead_sec)
    if not all(type(number) is int and 1 <= number <= MAX_TIMEOUT_SEC for number in numbers):
        raise ValueError("time-out")
    if attachment.index is not None and not (type(attachment.index) is int and 0 <= attachment.index <= MAX_INDEX):
        raise ValueError("index")
    if not isinstance(link.identifier, str) or not link.identifier:
        raise ValueError("identifier")
