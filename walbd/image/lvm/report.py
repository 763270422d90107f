"""Reports of `lvs` and `vgs` in JSON (lvmreport(7)): all values are strings; sizes in bytes."""

from __future__ import annotations

import json

from walbd.image.lvm.lvm import LogicalVolume, VolumeGroup
from walbd.model.error import StorageFailure

VG_FIELDS = ("vg_name", "vg_extent_size", "vg_free")
LV_FIELDS = (
    *("lv_name", "lv_size", "origin", "pool_lv", "lv_layout", "lv_active", "lv_permissions", "lv_tags"),
    *("zero", "data_percent", "metadata_percent"),
)
FORMAT_OPTIONS = ("--reportformat", "json", "--units", "b", "--nosuffix")


def volume_groups(text: str) -> list[VolumeGroup]:
    """Raises StorageFailure when the text is no such report."""
    try:
        return [
            VolumeGroup(row["vg_name"], int(row["vg_extent_size"]), int(row["vg_free"])) for row in _rows(text, "vg")
        ]
    except (KeyError, ValueError) as error:
        raise _unreadable(error) from error


def logical_volumes(text: str) -> list[LogicalVolume]:
    """Raises StorageFailure when the text is no such report."""
    try:
        return [_logical_volume(row) for row in _rows(text, "lv")]
    except (KeyError, ValueError) as error:
        raise _unreadable(error) from error


def _logical_volume(row: dict[str, str]) -> LogicalVolume:
    return LogicalVolume(
        name=row["lv_name"],
        size_bytes=int(row["lv_size"]),
        origin=row["origin"].strip("[]"),
        pool=row["pool_lv"].strip("[]"),
        is_thin_pool={"thin", "pool"} <= set(row["lv_layout"].split(",")),
        zeroes_new_blocks=row["zero"] == "zero",
        is_active=row["lv_active"].startswith("active"),
        is_writable=row["lv_permissions"] == "writeable",
        tags=frozenset(filter(None, row["lv_tags"].split(","))),
        data_percent=float(row["data_percent"] or 0),
        metadata_percent=float(row["metadata_percent"] or 0),
    )


def _rows(text: str, kind: str) -> list[dict[str, str]]:
    """Raises ValueError, KeyError."""
    found = json.loads(text)
    rows = [row for part in found["report"] for row in part[kind]] if isinstance(found, dict) else None
    if rows is None or not all(isinstance(value, str) for row in rows for value in row.values()):
        raise ValueError("not made of texts")
    return rows


def _unreadable(error: Exception) -> StorageFailure:
    return StorageFailure(f"report of LVM cannot be read: {error!r}", "is another LVM than version 2.03 installed?")
