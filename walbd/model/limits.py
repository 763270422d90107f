"""Named caps of everything that comes from outside, and the one validator of each kind of name.

Every name and size from a peer, a file or a command line passes through here before it is used.
"""

from __future__ import annotations

import re

from walbd.model.error import InvalidArgument

LB_BYTES = 512
MIB_BYTES = 1 << 20
UINT64_MAX = 2**64 - 1
INVALID_LSID = UINT64_MAX

MAX_VOLUME_NAME = 64
MAX_ARCHIVE_NAME = 64
MAX_NODE_ID = 256
MAX_DEVICE_NAME = 25
MAX_VOLUME_SIZE_LB = 2**63 // LB_BYTES
MIN_BULK_BYTES = LB_BYTES
MAX_BULK_BYTES = 4 << 20
DEFAULT_BULK_BYTES = 256 << 10
MAX_IO_LB = 2048
MAX_PACK_DATA_BYTES = 32 << 20
MAX_WDIFF_RECORDS_PER_PACK = 127
MAX_STRING_BYTES = 64 << 10
MAX_LIST_ITEMS = 4 << 20
MAX_HOST_NAME = 255
MAX_TIMESTAMP_SEC = 253_402_300_799  # 9999-12-31T23:59:59, the last with a four-digit year

_VOLUME = re.compile(r"[0-9A-Za-z-]+", re.ASCII)
_ARCHIVE = re.compile(r"[0-9A-Za-z_-][0-9A-Za-z_.-]*", re.ASCII)
_DEVICE = re.compile(r"[A-Za-z0-9_.-]+", re.ASCII)


def check_volume_name(name: str) -> str:
    """Returns the name of a volume, 1 to 64 of `0-9 A-Z a-z -`; raises InvalidArgument otherwise."""
    if not 1 <= len(name) <= MAX_VOLUME_NAME:
        raise InvalidArgument(
            f"bad volId format: length {len(name)}:{name[:80]}", f"use 1 to {MAX_VOLUME_NAME} characters"
        )
    if not _VOLUME.fullmatch(name):
        raise InvalidArgument(f"bad volId format: bad character:{name}", "use only 0-9, a-z, A-Z and -")
    return name


def check_archive_name(name: str) -> str:
    """Returns the name of an archive known to a proxy, 1 to 64 of `0-9 A-Z a-z _ . -` without a leading dot
    (snapshot-model.md W10); raises InvalidArgument otherwise."""
    if len(name) > MAX_ARCHIVE_NAME or not _ARCHIVE.fullmatch(name):
        raise InvalidArgument(
            f"bad archive name:{name[:80]}", "use 1 to 64 of 0-9, a-z, A-Z, _, - and (not first) a dot"
        )
    return name


def check_device_name(name: str) -> str:
    """Returns the name of a walb device (wdev.md section 1), 1 to 25 of `[A-Za-z0-9_.-]`, not `control`; raises
    InvalidArgument otherwise."""
    if len(name) > MAX_DEVICE_NAME or not _DEVICE.fullmatch(name) or name in ("control", ".", ".."):
        raise InvalidArgument(f"bad device name:{name[:80]}", "use 1 to 25 of 0-9, a-z, A-Z, _, . and -, not 'control'")
    return name


def check_node_id(node_id: str) -> str:
    """Returns a node id (any printable text up to 256 characters); raises InvalidArgument otherwise."""
    if len(node_id) > MAX_NODE_ID or not node_id.isprintable():
        raise InvalidArgument(f"bad node id:{node_id[:80]}", "use up to 256 printable characters")
    return node_id


def check_range(what: str, value: int, low: int, high: int) -> int:
    """Returns value when low <= value <= high; raises InvalidArgument naming `what` and the range otherwise."""
    if not low <= value <= high:
        raise InvalidArgument(f"{what} out of range:{value}", f"it must lie in {low}..{high}")
    return value


def check_bulk_bytes(value: int) -> int:
    """Returns the bulk size of a full or hash backup in bytes, 512 B to 4 MiB and a multiple of 512."""
    check_range("bulk size", value, MIN_BULK_BYTES, MAX_BULK_BYTES)
    if value % LB_BYTES:
        raise InvalidArgument(f"bulk size is no multiple of {LB_BYTES}:{value}")
    return value


def check_volume_size_lb(value: int) -> int:
    """Returns the size of a volume in logical blocks."""
    return check_range("volume size in blocks", value, 1, MAX_VOLUME_SIZE_LB)
