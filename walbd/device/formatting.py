"""wdevc format-ldev: makes an empty log for a data device, and shows its super sector as wldev-info does."""

from __future__ import annotations

from contextlib import closing

from walbd.device.ownership import OwnedFile
from walbd.model.error import InvalidArgument
from walbd.model.limits import LB_BYTES, check_device_name
from walbd.wlog.format_ldev import format_ldev
from walbd.wlog.super_sector import SuperSector, device_size_bytes, physical_block_size, read_super_sector


def format_pair(ldev_path: str, ddev_path: str, name: str, pbs: int | None, *, is_discarded: bool) -> list[str]:
    """Formats; returns the 14 lines of the super sector read back, and an empty one. Data on the data device are kept.
    Raises BadState when one of the two is in use."""
    if name:
        check_device_name(name)
    with closing(OwnedFile(ldev_path)) as ldev, closing(OwnedFile(ddev_path)) as ddev:
        log_pbs, data_pbs = physical_block_size(ldev.fd), physical_block_size(ddev.fd)
        if log_pbs and data_pbs and log_pbs != data_pbs:
            raise InvalidArgument(f"physical block sizes differ: {ldev_path} {log_pbs}, {ddev_path} {data_pbs}")
        size_lb = device_size_bytes(ddev.fd) // LB_BYTES
        format_ldev(ldev.fd, size_lb, name, pbs=pbs, discard=is_discarded, path=ldev_path)
        sector = read_super_sector(ldev.fd, name=ldev_path)
    return [*super_sector_lines(sector), ""]


def super_sector_lines(sector: SuperSector) -> list[str]:
    """`key: value` lines as the reference prints them (wlog-format.md section 15, wldev-info)."""
    block = sector.pack()
    values = {
        "sectorType": 1,
        "version": 2,
        "checksum": int.from_bytes(block[4:8], "little"),
        "lbs": LB_BYTES,
        "pbs": sector.pbs,
        "metadataSize": 0,
        "salt": sector.salt,
        "name": sector.name,
        "ringBufferSize": sector.ring_size_pb,
        "oldestLsid": sector.oldest_lsid,
        "writtenLsid": sector.written_lsid,
        "deviceSize": sector.device_size_lb,
        "ringBufferOffset": sector.ring_offset_pb,
        "uuid": sector.uuid.hex(),
    }
    return [f"{key}: {value}" for key, value in values.items()]
