"""What a parameter may look like: one row per type (walbc.md section 4).

Validators are imported when a parameter of their type is checked, so that the program starts fast.
"""

from __future__ import annotations

from collections.abc import Callable

from walbc.light import NamedTuple
from walbd.model.error import InvalidArgument


def _anything(_: str) -> None:
    """Nothing to check."""


TIME_PREFIX = "@"


class Kind(NamedTuple):
    """A type of parameter. `rule` explains it, where its name does not. `check` raises InvalidArgument when the content
    is wrong; `form` when a number is not even a number, which is an error of the command line. `words`: all there are,
    where there are only some."""

    rule: str
    check: Callable[[str], object] = _anything
    form: Callable[[str], object] = _anything
    words: tuple[str, ...] = ()


def choice(refusal: str, *words: str, rule: str = "") -> Kind:
    """One of some words; `refusal` is the text put before a word that is none of them."""

    def check(text: str) -> None:
        if text not in words:
            raise InvalidArgument(f"{refusal}:{text[:80]}", f"write {' or '.join(words)}")

    return Kind(rule, check, words=words)


def _check_volume(text: str) -> None:
    from walbd.model.limits import check_volume_name

    check_volume_name(text)


def _check_archive(text: str) -> None:
    from walbd.model.limits import check_archive_name

    check_archive_name(text)


def _number(text: str) -> None:
    from walbd.model.size import parse_uint

    parse_uint(text)


def _size(text: str) -> int:
    from walbd.model.size import parse_size

    return parse_size(text)


def _check_bulk(text: str) -> None:
    from walbd.model.limits import MAX_BULK_BYTES, MIN_BULK_BYTES, check_bulk_bytes

    size_bytes = _size(text)
    if size_bytes < MIN_BULK_BYTES:
        raise InvalidArgument(f"too small size:{MIN_BULK_BYTES}:{size_bytes}", "write a size from 512 to 4m")
    if size_bytes > MAX_BULK_BYTES:
        raise InvalidArgument(f"too large size:{MAX_BULK_BYTES}:{size_bytes}", "write a size from 512 to 4m")
    check_bulk_bytes(size_bytes)


def _check_address(text: str) -> None:
    from walbd.model.address import Address

    Address.parse(text)


def _check_compression(text: str) -> None:
    from walbd.model.compression import CompressOpt

    CompressOpt.parse(text)


def _gid_or_time(text: str) -> None:
    if not text.startswith(TIME_PREFIX):
        _number(text)


def _check_time(text: str) -> None:
    from walbd.model.timetext import parse_pretty

    if text.startswith(TIME_PREFIX):
        parse_pretty(text[1:])


def _check_uuid(text: str) -> None:
    from walbd.model.uuid_text import parse_uuid

    parse_uuid(text)


def _check_base(text: str) -> None:
    from walbd.model.state import MetaState

    MetaState.parse(text, 0)


def _check_percentage(text: str) -> None:
    from walbd.model.limits import check_range

    check_range("percentage of time to sleep", int(text), 0, 99)


def _check_server(text: str) -> None:
    from walbc.servers import check_name

    check_name(text)


def _check_device(text: str) -> None:
    if not text.isprintable():
        raise InvalidArgument(f"bad device:{text[:80]}", "write the name or the path of a walb device")


VOLUME = Kind("name of a volume: 1 to 64 of `0-9 a-z A-Z -`", _check_volume)
ARCHIVE = Kind("name of an archive at a proxy: 1 to 64 of `0-9 a-z A-Z _ . -`, no dot first", _check_archive)
GID = Kind("a gid, decimal", form=_number)
SECONDS = Kind("seconds, decimal", form=_number)
BULK = Kind("SIZE from 512 to 4m: bytes in decimal, then perhaps one of `k m g t p e` (1024)", _check_bulk, _size)
ADDRESS = Kind("name or IPv4 address and port of a server", _check_address)
COMPRESSION = Kind(
    "`TYPE:LEVEL:CPUS`, TYPE one of none snappy gzip lzma lz4 zstd, LEVEL 0-9, CPUS 1-255", _check_compression
)
DEVICE = Kind("a walb device: NAME, `/dev/walb/NAME` or the path of its control socket", _check_device)
TEXT = Kind("any text")
STOP_MODE = choice("bad stop mode", "graceful", "force", "empty")
SHUTDOWN_MODE = choice("bad option", "graceful", "force")
ROLE = choice("specify role: target or standby", "target", "standby")
ACTION = choice(
    "no such action",
    "Merge",
    "Apply",
    "Restore",
    "ReplSyncAsClient",
    "Resize",
    rule="one of Merge Apply Restore ReplSyncAsClient Resize",
)
SIZE = Kind("SIZE: bytes in decimal, then perhaps one of `k m g t p e` (1024)", form=_size)
IS_APPLYING = choice("bad isApplying parameter. specify 0 or 1.", "0", "1")
ALL = choice("bad opt", "all")
GID_OR_TIME = Kind(
    "a gid, decimal, or `@YYYY-MM-DDThh:mm:ss` (UTC): the newest that is not later", _check_time, _gid_or_time
)
MERGE_BY = choice("bad merge parameter", "gid", "size")
MERGE_END = Kind("after `gid`: the gid to end at; after `size`: the most MiB to read", form=_number)
REPLICATE_END = Kind("after `gid`: diffs that begin before it are sent; after `size`: MiB left behind", form=_number)
FLAG = Kind("a number, not 0 for yes", form=_number)
ZERO_CLEAR = choice("bad resize parameter", "zeroclear")
IMAGE = Kind("`stdout`, a file (replaced when all has arrived) or a block device (overwritten)")
PERCENTAGE = Kind("share of time to sleep, 0-99", _check_percentage, _number)
UUID = Kind("32 hexadecimal digits", _check_uuid)
STATE = choice("bad state", "SyncReady", "Archived", "Stopped", rule="one of SyncReady Archived Stopped")
BASE = Kind("`<|GID|>-YYYYMMDDhhmmss` or `<|GID|-->|GID|>-YYYYMMDDhhmmss`", _check_base)
LSID = Kind("an lsid, decimal", form=_number)
SHELL = choice("unknown shell", "bash", "zsh", "fish", "servers", rule="bash, zsh or fish")
SERVER = Kind("name of a server of the servers file", _check_server)
