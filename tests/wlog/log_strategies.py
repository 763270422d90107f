"""Random write histories and the ring they are written into."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from hypothesis import strategies as st

from tests.wlog.log_oracle import PackWriter, Write
from tests.wlog.pack_builder import PackBuilder
from walbd._core import ffi
from walbd.wlog.super_sector import SuperSector, write_super_sector

DEVICE_LB = 600
PBS = st.sampled_from([512, 1024, 4096])
SALTS = st.integers(0, 2**32 - 1)


def make_write(offset_lb: int, size_lb: int, seed: int) -> Write:
    """seed 0 is a discard, 1 zeros, anything else data of that seed."""
    size_lb = min(size_lb, DEVICE_LB - offset_lb)
    if seed == 0:
        return Write(offset_lb, size_lb, None)
    return Write(
        offset_lb, size_lb, bytes(size_lb * 512) if seed == 1 else random.Random(seed).randbytes(size_lb * 512)
    )


# Rings that hold any such history once, by physical block size.
RING_PB = {512: 900, 1024: 500, 4096: 200}
WRITES = st.lists(
    st.builds(
        make_write,
        st.integers(0, DEVICE_LB - 1),
        st.sampled_from([1, 2, 3, 8, 9, 17, 40]),
        st.sampled_from([0, 1]) | st.integers(2, 2**16),
    ),
    max_size=20,
)


def make_super(pbs: int, salt: int, ring_size_pb: int, lsid: int) -> SuperSector:
    return SuperSector(pbs, salt, bytes(range(16)), "vol0", ring_size_pb, lsid, lsid, DEVICE_LB)


@contextmanager
def log_device(super_sector: SuperSector) -> Iterator[IO[bytes]]:
    """An image of a log device: noise in the ring, the super sector in place."""
    with tempfile.TemporaryFile() as file:
        file.write(random.Random(7).randbytes(super_sector.ring_end_bytes))
        file.flush()
        write_super_sector(file.fileno(), super_sector)
        yield file


@contextmanager
def data_device() -> Iterator[IO[bytes]]:
    """A data device full of a5."""
    with tempfile.TemporaryFile() as file:
        file.write(b"\xa5" * (DEVICE_LB * 512))
        file.flush()
        yield file


def image_after(writes: list[Write]) -> bytes:
    """The content of such a device behind the writes."""
    image = bytearray(b"\xa5" * (DEVICE_LB * 512))
    for write in writes:
        write.apply(image)
    return bytes(image)


def write_log(
    file: IO[bytes], super_sector: SuperSector, writes: list[Write], lsid: int, max_pack_pb: int = 0
) -> tuple[int, list[int]]:
    """Writes the history with the native builder; returns its end lsid and the end lsid of each write."""
    builder = PackBuilder(super_sector, max_pack_pb, max_writes=max(1, len(writes)))
    keep = []
    for write in writes:
        if write.data is None:
            builder.add_discard(write.offset_lb, write.size_lb)
        else:
            keep.append(ffi.from_buffer(write.data))
            builder.add(write.offset_lb, write.size_lb, keep[-1])
    assert builder.build(lsid, 2**63) == len(writes)
    builder.write(file.fileno())
    return builder.end_lsid, [builder.lsids_of(index)[1] for index in range(len(writes))]


def oracle_packs(
    super_sector: SuperSector, writes: list[Write], lsid: int, max_pack_pb: int = 0
) -> list[tuple[int, bytes, bytes]]:
    """(lsid, header, data) of the packs the oracle forms of a history."""
    writer = PackWriter(super_sector.pbs, super_sector.salt, super_sector.ring_size_pb, lsid, max_pack_pb)
    for write in writes:
        writer.add(write)
    writer.close()
    return writer.packs
