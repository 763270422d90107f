"""What walb-tools 1.0.19 leaves on the disks of a group: made byte by byte from the description of its files, or
written by itself. Nothing here uses the product."""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path

from tests.conftest import Vectors
from tests.golden_directories import unpack, unzipped
from tests.wlog.log_oracle import PackWriter, Write, signed

PBS = 512
VOLUME_LB = 2048
LOG_BYTES = 4 << 20
RING_BEGIN_PB = 10
SALT = 0x53DF108E
UUID = bytes(range(16, 32))
ARCHIVE_UUID = bytes(range(32, 48))
TIME = 1_700_000_000
QUEUE_MAGIC = 0x119D83A7


def make(folder: Path) -> None:
    """s0, p0, a0, the logical volume wb_vol0, and both parts of the device vol0. The storage has a log of two writes
    and three snapshots that no proxy has taken, and the second write is not on the data device."""
    chance = random.Random(19)
    base = chance.randbytes(VOLUME_LB * 512 // 2).ljust(VOLUME_LB * 512, b"\0")
    log = PackWriter(PBS, SALT, LOG_BYTES // PBS - RING_BEGIN_PB, 0)
    lsids = [0]
    data = bytearray(base)
    for address in (8, 1200):
        write = Write(address, 16, chance.randbytes(16 * 512))
        log.add(write)
        log.close()
        lsids.append(log.lsid)
        if address == 8:
            write.apply(data)
    (folder / "wb_vol0").write_bytes(base)
    (folder / "vol0.data").write_bytes(data)
    (folder / "vol0.log").write_bytes(_log_device(log, lsids[1]))
    _storage(folder / "s0" / "vol0", lsids)
    _proxy(folder / "p0" / "vol0")
    _archive(folder / "a0" / "vol0")


def take(vectors: Vectors, folder: Path) -> None:
    """The same, written by walb-tools 1.0.19."""
    cases = {case["name"]: case for case in json.loads(vectors("basedirs", "expected.json").read_text())["cases"]}
    names = {"s0": "storage-target-running", "p0": "proxy-started", "a0": "archive-group-base"}
    for server, name in names.items():
        unpack(vectors, cases[name], folder).rename(folder / server)
    (image,) = cases[names["a0"]]["logical_volumes"]
    device = cases[names["s0"]]["devices"]["vol0"]
    files = {"wb_vol0": image, "vol0.data": device["data_device"], "vol0.log": device["log_device"]}
    for name, file in files.items():
        (folder / name).write_bytes(unzipped(vectors("basedirs", file["file"])))


def _log_device(log: PackWriter, written_lsid: int) -> bytes:
    block = struct.pack("<HHIIIII", 1, 2, 0, 512, PBS, 0, SALT) + UUID + b"vol0".ljust(32, b"\0")
    block += struct.pack("<QQQQ", log.ring_size_pb, 0, written_lsid, VOLUME_LB)
    block = block.ljust(PBS, b"\0")
    # The checksum lies behind two small fields, unlike that of a pack.
    checksum = struct.unpack("<I", signed(bytes(4) + block, 0)[:4])[0]
    device = bytearray(LOG_BYTES)
    device[4096 : 4096 + PBS] = block[:4] + struct.pack("<I", checksum) + block[8:]
    for lsid, header, data in log.packs:
        at = (RING_BEGIN_PB + lsid) * PBS
        device[at : at + PBS + len(data)] = header + data
    return bytes(device)


def _storage(folder: Path, lsids: list[int]) -> None:
    records = [_record(gid, lsid, is_mergeable=gid == 2) for gid, lsid in enumerate(lsids, 1)]
    files = {
        "path": _text("/dev/walb/vol0"),
        "state": _text("Target"),
        "done": _record(0, 0, is_mergeable=False),
        "queue": _queue(records),
        "uuid": UUID,
    }
    _write(folder, files)


def _queue(records: list[bytes]) -> bytes:
    """Newest first, each with the distance to the one before it (the older), then a stub."""
    body, to_previous = b"", 0
    for record in reversed(records):
        checksum = struct.unpack("<I", signed(bytes(4) + record, SALT)[:4])[0]
        body += struct.pack("<IIII", QUEUE_MAGIC, checksum, len(record), to_previous) + record
        to_previous = 16 + len(record)
    end = len(body)
    body += struct.pack("<IIII", QUEUE_MAGIC, 0, 0, to_previous)
    header = struct.pack("<IIIQQ", QUEUE_MAGIC, 0, SALT, 0, end)
    checksum = struct.unpack("<I", signed(bytes(4) + header, 0)[:4])[0]
    header = header[:4] + struct.pack("<I", checksum) + header[8:]
    return (header * 2 + body).ljust(4096, b"\0")


def _proxy(folder: Path) -> None:
    address = _text("127.0.0.1") + struct.pack("<H", 27201)
    _write(folder, {"size": _number(VOLUME_LB), "archive0.archive": address + b"\x02\x00\x01\x00"})
    (folder / "received").mkdir()
    (folder / "sendto" / "archive0").mkdir(parents=True)


def _archive(folder: Path) -> None:
    snapshot = struct.pack("<HBB", 0x0311, 0, 1)
    base = struct.pack("<HB", 0x0313, 0) + _number(TIME) + snapshot * 2
    _write(folder, {"state": _text("Archived"), "uuid": UUID, "archive_uuid": ARCHIVE_UUID, "base": base})


def _write(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def _text(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def _number(value: int) -> bytes:
    """A variable-length integer; those that are needed here."""
    if value < 128:
        return bytes([value])
    return b"\x81" + struct.pack("<H", value) if value < 1 << 16 else b"\x82" + struct.pack("<I", value)


def _record(gid: int, lsid: int, *, is_mergeable: bool) -> bytes:
    return struct.pack("<HB", 0x0314, is_mergeable) + _number(TIME + gid) + _number(lsid) + _number(gid)
