"""The super sector of a log device (wlog-format.md section 3): geometry, identity of the log, what is applied of it."""

from __future__ import annotations

import fcntl
import os
import stat
import struct
from dataclasses import dataclass

from walbd._core import ffi, lib
from walbd.model.error import Corrupted, InvalidArgument, StorageFailure
from walbd.model.limits import MAX_DEVICE_NAME

RESERVED_BYTES: int = lib.WALB_LOG_RESERVED_BYTES
PHYSICAL_BLOCK_SIZES = (512, 1024, 2048, 4096)

_PHYSICAL_BS = struct.Struct("<I")
_PHYSICAL_BS_OFFSET = 12
_BLKPBSZGET = 0x127B


def check_pbs(pbs: int) -> int:
    """Returns a physical block size in bytes that exists; raises InvalidArgument otherwise."""
    if pbs not in PHYSICAL_BLOCK_SIZES:
        raise InvalidArgument(f"bad physical block size:{pbs}", "use 512 or 4096")
    return pbs


def checksum(block: bytes | bytearray | memoryview, salt: int) -> int:
    """The format's checksum of a small buffer (section 2)."""
    return int(lib.walb_csum(ffi.from_buffer(block), len(block), salt))


@dataclass(frozen=True, slots=True)
class SuperSector:
    """What the super sector says. Sizes in physical blocks (pb) of `pbs` bytes or in logical blocks (lb) of 512 bytes.

    uuid names the log sequence, not the device: it changes together with the salt when the log starts anew. Packs below
    oldest_lsid may be overwritten; everything below written_lsid is durable on the data device.
    """

    pbs: int
    salt: int
    uuid: bytes
    name: str
    ring_size_pb: int
    oldest_lsid: int
    written_lsid: int
    device_size_lb: int

    @property
    def position_pb(self) -> int:
        """Block of the super sector itself."""
        return RESERVED_BYTES // self.pbs

    @property
    def ring_offset_pb(self) -> int:
        """First block of the ring: behind the super sector and the unused place of a second one."""
        return self.position_pb + 2

    @property
    def ring_end_bytes(self) -> int:
        """First byte behind the ring."""
        return (self.ring_offset_pb + self.ring_size_pb) * self.pbs

    def pack(self) -> bytes:
        """The block, pbs bytes, with its checksum."""
        fields = {field: getattr(self, field) for field in self.__slots__} | {"name": self.name.encode()}
        block = bytearray(self.pbs)
        lib.walb_log_super_build(ffi.from_buffer(block), ffi.new("walb_log_super *", fields))
        return bytes(block)

    @classmethod
    def parse(cls, block: bytes, pbs: int, ldev_size_bytes: int, name: str = "log device") -> SuperSector:
        """Decodes and checks a block of pbs bytes; every rule of section 3. Raises Corrupted with the log device's
        name, the place in it and the rule broken."""
        check_pbs(pbs)
        if len(block) != pbs:
            raise Corrupted(f"{name}: super sector: offset {RESERVED_BYTES + len(block)}: block cut short")
        raw, failure = ffi.new("walb_log_super *"), ffi.new("walb_failure *")
        if lib.walb_log_super_parse(block, pbs, ldev_size_bytes, raw, failure):
            raise Corrupted(f"{name}: super sector: {ffi.string(failure.text).decode()}")
        return cls(
            raw.pbs, raw.salt, bytes(raw.uuid), ffi.string(raw.name).decode(), raw.ring_size_pb, raw.oldest_lsid,
            raw.written_lsid, raw.device_size_lb,
        )  # fmt: skip


def device_size_bytes(fd: int) -> int:
    """Size of a regular file or block device."""
    return os.lseek(fd, 0, os.SEEK_END)


def physical_block_size(fd: int) -> int | None:
    """What a block device reports (BLKPBSZGET), None for a regular file."""
    if not stat.S_ISBLK(os.fstat(fd).st_mode):
        return None
    return int(struct.unpack("=I", fcntl.ioctl(fd, _BLKPBSZGET, bytes(4)))[0])


def read_super_sector(fd: int, pbs: int | None = None, name: str = "log device") -> SuperSector:
    """Reads and checks the super sector of a log device.

    pbs None means: what a block device reports, or what the sector in a regular file says (it lies at the same byte
    whatever the block size). Raises Corrupted, StorageFailure, which begin with the name.
    """
    try:
        size_bytes = device_size_bytes(fd)
        block = os.pread(fd, max(PHYSICAL_BLOCK_SIZES), RESERVED_BYTES)
        use = pbs or physical_block_size(fd)
    except OSError as error:
        raise StorageFailure(f"{name}: cannot read the super sector: {error.strerror}") from error
    if use is None:
        (said,) = _PHYSICAL_BS.unpack_from(block.ljust(max(PHYSICAL_BLOCK_SIZES), b"\0"), _PHYSICAL_BS_OFFSET)
        use = said if said in PHYSICAL_BLOCK_SIZES else min(PHYSICAL_BLOCK_SIZES)
    return SuperSector.parse(block[:use], use, size_bytes, name)


def write_super_sector(fd: int, super_sector: SuperSector, *, sync: bool = True, name: str = "log device") -> None:
    """Writes the super sector as one block (its atomicity is what crash safety rests on) and syncs the log device.

    The caller has synced what the new values promise. Raises StorageFailure, which names the log device."""
    block = super_sector.pack()
    try:
        if os.pwrite(fd, block, RESERVED_BYTES) != len(block):
            raise StorageFailure(f"cannot write the super sector of {name}: short write")
        if sync:
            os.fdatasync(fd)
    except OSError as error:
        raise StorageFailure(f"cannot write the super sector of {name}: {error.strerror}") from error


def check_super_name(name: str) -> str:
    """Returns a name that fits the kernel driver's devices (16.11 of the format: never cut silently)."""
    if len(name.encode()) > MAX_DEVICE_NAME or not name.isascii() or "\0" in name:
        raise InvalidArgument(f"bad device name:{name[:80]}", f"use at most {MAX_DEVICE_NAME} ASCII characters")
    return name
