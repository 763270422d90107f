"""The seeds of native/fuzz/corpus, made by our own writers: a folder for each driver, inputs as the driver reads them.

scripts/fuzz_corpus.py [FOLDER]     writes FOLDER/NAME/seed-* (native/fuzz/corpus)
"""

from __future__ import annotations

import io
import random
import struct
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.wdiff.wdiff_oracle import DISCARD, NORMAL, ZERO, Io, normalised  # noqa: E402
from tests.wdiff.wdiff_testing import convert, make_log, merge, receive, to_write, write_sorted  # noqa: E402
from walbd._core import ffi, lib  # noqa: E402
from walbd.device import nbd_protocol as nbd  # noqa: E402
from walbd.storage.queue_file import encode_queue  # noqa: E402
from walbd.wlog.log_file import LogFileHeader, LogFileWriter  # noqa: E402
from walbd.wlog.super_sector import SuperSector  # noqa: E402

RECORD_HEADER_BYTES = 16
UUID = bytes(range(16))
SALT = 0x12345678
TEXT = b"some words that repeat, " * 64
NOISE = random.Random(1).randbytes(3 * 512)
# Short, so that files stay small; every kind, overlaps, a hole, both block sizes' tails.
OLDER = [
    Io(1, 3, NORMAL, TEXT),
    Io(3, 1, NORMAL, NOISE[:512]),
    Io(8, 4, DISCARD),
    Io(30, 11, ZERO),
    Io(100, 3, NORMAL, NOISE),
]
NEWER = [Io(2, 1, NORMAL, NOISE[512:1024]), Io(9, 2, ZERO), Io(40, 1, NORMAL, TEXT[:512]), Io(101, 400, DISCARD)]
SUPER = SuperSector(512, SALT, UUID, "vol0", 2038, 2030, 2031, 8192)


def supers() -> Iterator[bytes]:
    for sector, size in (
        (SUPER, 1 << 20),
        (replace(SUPER, pbs=4096, name="", ring_size_pb=253), 1 << 20),
        (replace(SUPER, name="n" * 25, ring_size_pb=2**40, oldest_lsid=0, written_lsid=2**64 - 2), 2**62),
    ):
        yield struct.pack("<Q", size) + sector.pack()


def log_packs() -> Iterator[bytes]:
    for pbs in (512, 4096):
        log, _ = make_log([to_write(io) for io in OLDER], pbs, 9)
        yield struct.pack("<IIQ", pbs, SALT, 9) + log[:pbs]


def log_files() -> Iterator[bytes]:
    for pbs, ios, lsid in ((512, OLDER, 9), (4096, NEWER, 2**40), (512, [], 0)):
        file = io.BytesIO()
        writer = LogFileWriter(file, LogFileHeader(pbs, SALT, UUID, lsid))
        writer.write(make_log([to_write(io) for io in ios], pbs, lsid)[0])
        writer.finish()
        yield file.getvalue()


def sorted_files(folder: Path) -> Iterator[bytes]:
    yield write_sorted(folder / "s", normalised(OLDER), per_pack=3).read_bytes()
    receive(folder / "s", merge([folder / "s", write_sorted(folder / "t", normalised(NEWER))]))
    yield (folder / "s").read_bytes()
    yield write_sorted(folder / "s", []).read_bytes()


def indexed_files(folder: Path) -> Iterator[bytes]:
    for pbs, ios in ((512, OLDER), (4096, NEWER), (512, [])):
        convert(folder / "i", make_log([to_write(io) for io in ios], pbs)[0], pbs)
        yield (folder / "i").read_bytes()


def pairs(folder: Path) -> Iterator[bytes]:
    (older, *_), (_, newer, _) = sorted_files(folder), indexed_files(folder)
    (indexed, *_) = indexed_files(folder)
    for one, other in ((older, newer), (indexed, newer), (indexed, older)):
        yield struct.pack("<I", len(one)) + one + other


def snappy_blocks() -> Iterator[bytes]:
    yield NOISE
    for data in (TEXT, bytes(4096)):
        yield data
        packed = ffi.new("uint8_t[]", len(data))
        yield bytes(ffi.buffer(packed, lib.walb_snappy_compress(data, len(data), packed, len(data))))


def queue_files() -> Iterator[bytes]:
    records = [TEXT[:length] for length in (10, 11, 40)]
    for chosen in (records, records[:1], []):
        file = encode_queue(chosen, SALT)
        yield file[: len(file.rstrip(b"\0")) + RECORD_HEADER_BYTES]


def write_lists() -> Iterator[bytes]:
    """Ring, limits, then 8 bytes for each write, as fuzz_wlog_build reads them."""
    rnd = random.Random(2)
    for number in range(4):
        yield rnd.randbytes(16 + 8 * (3 + 15 * number))


def nbd_requests() -> Iterator[bytes]:
    """The device's size (2), reply form, longest record, then what a client sends, as fuzz_nbd_requests reads them."""
    payload = TEXT[:1024]
    write, fua, read = ((nbd.CMD_WRITE, 0), (nbd.CMD_WRITE, nbd.CMD_FLAG_FUA), (nbd.CMD_READ, 0))
    for kinds in ((write, write, fua), (read, read), (fua, read, write)):
        sent = b""
        for number, (command, flags) in enumerate(kinds):
            sent += nbd.REQUEST.pack(nbd.REQUEST_MAGIC, flags, command, number, 4096 * number, len(payload))
            sent += payload if command == nbd.CMD_WRITE else b""
        yield bytes([1, 20, 1, 7]) + sent


def corpus(folder: Path) -> dict[str, list[bytes]]:
    """The inputs by driver."""
    logs = list(log_files())
    return {
        "checksum": [TEXT[:101], NOISE[:512]],
        "hash": [TEXT[:1001], NOISE[:520]],
        "log_pack": list(log_packs()),
        "nbd_requests": list(nbd_requests()),
        "queue_file": list(queue_files()),
        "snappy": list(snappy_blocks()),
        "super_sector": list(supers()),
        "wdiff_from_log": logs[:2],
        "wdiff_indexed": list(indexed_files(folder)),
        "wdiff_merge": list(pairs(folder)),
        "wdiff_sorted": list(sorted_files(folder)),
        "wlog_build": list(write_lists()),
        "wlog_file": logs,
        "wlog_redo": logs[:2],
    }


def write_corpus(target: Path) -> None:
    """Writes all seeds; other files stay."""
    with tempfile.TemporaryDirectory() as folder:
        for name, inputs in corpus(Path(folder)).items():
            (target / name).mkdir(parents=True, exist_ok=True)
            for number, data in enumerate(inputs):
                (target / name / f"seed-{number}").write_bytes(data)


if __name__ == "__main__":
    write_corpus(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "native" / "fuzz" / "corpus")
