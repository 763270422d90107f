"""Checks of the fields that requests of several conversations have."""

from __future__ import annotations

from walbd.model.error import InvalidArgument
from walbd.net.messages import PeerKind

UUID_BYTES = 16
HASH_KEY_BYTES = 32
UINT32_MAX = 2**32 - 1
_SERVERS = (PeerKind.STORAGE, PeerKind.PROXY, PeerKind.ARCHIVE)


def check_host_kind(kind: str) -> PeerKind:
    """Returns the kind of a server that sends data; raises InvalidArgument."""
    for server in _SERVERS:
        if server == kind:
            return server
    raise InvalidArgument(f"bad host type:{kind[:80]}", f"one of {' '.join(_SERVERS)}")


def check_uuid(uuid: bytes) -> bytes:
    """Returns 16 bytes; raises InvalidArgument."""
    if len(uuid) != UUID_BYTES:
        raise InvalidArgument(f"uuid of {len(uuid)} bytes", f"it has {UUID_BYTES}")
    return uuid


def check_hash_key(key: bytes) -> bytes:
    """Returns the key of a hash exchange; raises InvalidArgument."""
    if len(key) != HASH_KEY_BYTES:
        raise InvalidArgument(f"hash key of {len(key)} bytes", f"it has {HASH_KEY_BYTES}")
    return key
