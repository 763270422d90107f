"""Names of images, logical volumes and files alike (servers.md section 5.1). A volume's name has no underscore, so that
each name is read in one way only."""

from __future__ import annotations

import re

BASE_PREFIX = "wb_"
RESTORED_PREFIX = "wr_"
COLD_PREFIX = "wc_"
TEMPORARY_SUFFIX = "_tmp"

_GID = r"(0|[1-9][0-9]{0,19})"
_NAME = re.compile(rf"(wb|wr|wc)_([0-9A-Za-z-]+)_{_GID}(_tmp)?")


def base_name(volume: str) -> str:
    """The base image."""
    return BASE_PREFIX + volume


def next_base_name(volume: str, gid: int) -> str:
    """A cold image on its way to become the base."""
    return f"{BASE_PREFIX}{volume}_{gid}{TEMPORARY_SUFFIX}"


def restored_name(volume: str, gid: int) -> str:
    """A finished restored volume."""
    return f"{RESTORED_PREFIX}{volume}_{gid}"


def unfinished_name(volume: str, gid: int) -> str:
    """A restored volume in the making."""
    return restored_name(volume, gid) + TEMPORARY_SUFFIX


def cold_name(volume: str, gid: int) -> str:
    """A cold image."""
    return f"{COLD_PREFIX}{volume}_{gid}"


def gid_of(name: str, prefix: str, volume: str, *, is_temporary: bool = False) -> int | None:
    """The gid in a name of this kind of this volume, None for every other name."""
    match = _NAME.fullmatch(name)
    if match is None or match[1] + "_" != prefix or match[2] != volume or bool(match[4]) is not is_temporary:
        return None
    return int(match[3])
