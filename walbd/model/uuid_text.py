"""Uuids: 16 bytes, shown as 32 hexadecimal digits."""

from __future__ import annotations

import re

from walbd.model.error import InvalidArgument

UUID_BYTES = 16
NIL_UUID = bytes(UUID_BYTES)

_HEX = re.compile(r"[0-9a-fA-F]{32}")


def uuid_hex(uuid: bytes) -> str:
    """32 lower-case hexadecimal digits."""
    if len(uuid) != UUID_BYTES:
        raise InvalidArgument(f"a uuid has {UUID_BYTES} bytes, not {len(uuid)}")
    return uuid.hex()


def parse_uuid(text: str) -> bytes:
    """The uuid of 32 hexadecimal digits; raises InvalidArgument."""
    if not _HEX.fullmatch(text):
        raise InvalidArgument(f"bad uuid:{text[:80]}", "write 32 hexadecimal digits")
    return bytes.fromhex(text)
