"""Sizes of volumes that are no multiple of the extent, kept as tags of the logical volume (servers.md section 5.4).

A logical volume is rounded up; without the tag, as walb-tools 1.0.19 makes it, its own size is the volume's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from walbd.image.lvm.lvm import LogicalVolume, VolumeGroup
from walbd.model.limits import LB_BYTES, MAX_VOLUME_SIZE_LB

GROWING = "walb.growing"
"""While it is there, what lies behind the tagged size may not be zeros yet."""
_SIZE = re.compile(r"walb\.size_lb=([1-9][0-9]{0,18})")


def size_tag(size_lb: int) -> str:
    """The tag that says so."""
    return f"walb.size_lb={size_lb}"


def size_tags(tags: Iterable[str]) -> list[str]:
    """Those of the tags that are ours."""
    return [tag for tag in tags if tag == GROWING or _SIZE.fullmatch(tag)]


def size_lb_of(volume: LogicalVolume, group: VolumeGroup) -> int:
    """Size of the volume in a base image. A tag that does not fit is ignored: somebody else resized the base."""
    whole_lb = volume.size_bytes // LB_BYTES
    for match in filter(None, map(_SIZE.fullmatch, volume.tags)):
        size_lb = int(match[1])
        if size_lb > min(whole_lb, MAX_VOLUME_SIZE_LB):
            continue
        if GROWING in volume.tags or group.rounded_bytes(size_lb * LB_BYTES) == volume.size_bytes:
            return size_lb
    return whole_lb
