"""The native write path against plain Python."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.device.walb_devices import Pair
from walbd._core import ffi, lib
from walbd.device.user.writes import NATIVE
from walbd.wlog.recovery import recover

DEVICE_LB = 64
steps = st.lists(st.tuples(st.integers(0, DEVICE_LB - 1), st.integers(1, 20), st.booleans()), max_size=40)


def natives(plan: list[tuple[int, int, bool]]) -> tuple[bytearray, bytes, list[bytes]]:
    """The structures of a plan, the image they lead to, and the data they point to."""
    image, kept, native = bytearray(DEVICE_LB * 512), [], bytearray()
    for number, (offset, wanted, is_discard) in enumerate(plan):
        size = min(wanted, DEVICE_LB - offset)
        data = bytes(size * 512) if is_discard else bytes([number + 1]) * (size * 512)
        kept.append(data)
        address = 0 if is_discard else int(ffi.cast("uintptr_t", ffi.from_buffer(data)))
        native += NATIVE.pack(offset, address, size, is_discard, 0, 0, 0)
        image[offset * 512 : (offset + size) * 512] = data
    return native, bytes(image), kept


def test_the_packed_structure_is_the_native_one() -> None:
    assert NATIVE.size == ffi.sizeof("walb_log_write")


@given(steps)
def test_data_writes_end_as_if_done_one_after_the_other(plan: list[tuple[int, int, bool]]) -> None:
    native, image, _kept = natives(plan)
    with tempfile.TemporaryFile() as file:
        file.truncate(DEVICE_LB * 512)
        assert lib.walb_device_write_data(file.fileno(), ffi.from_buffer("walb_log_write[]", native), len(plan)) == 0
        assert os.pread(file.fileno(), DEVICE_LB * 512 + 1, 0) == image


@given(steps, st.integers(0, 1000), st.sampled_from([512, 4096]))
def test_logged_writes_are_what_a_redo_finds_and_stay_below_the_limit(
    plan: list[tuple[int, int, bool]], limit_pb: int, pbs: int
) -> None:
    native, _, _kept = natives(plan)
    with tempfile.TemporaryDirectory() as folder:
        pair = Pair(Path(folder), log_bytes=1 << 20, data_bytes=DEVICE_LB * 512, pbs=pbs)
        sector = pair.super_sector()
        ring = ffi.new(
            "walb_log_ring *", (sector.ring_offset_pb, sector.ring_size_pb, sector.pbs, sector.salt, 262144 // pbs)
        )
        log_fd, data_fd = os.open(pair.ldev, os.O_RDWR), os.open(pair.ddev, os.O_RDWR)
        try:
            lsid = ffi.new("uint64_t *", 0)
            writes = ffi.from_buffer("walb_log_write[]", native)
            limit = min(limit_pb, sector.ring_size_pb)
            count = lib.walb_device_write_log(log_fd, ring, writes, len(plan), lsid, limit, limit)
            assert 0 <= count <= len(plan) and lsid[0] <= limit
            assert recover(log_fd, data_fd, sector).super_sector.written_lsid == lsid[0]
        finally:
            os.close(log_fd)
            os.close(data_fd)
        assert pair.ddev.read_bytes() == natives(plan[:count])[1]
        assert count == len(plan) or lsid[0] + 2 + 2 * 20 * 512 // pbs + 1 > limit


@given(steps.filter(bool), st.integers(0, 200), st.integers(0, 60))
def test_the_block_in_which_the_log_ends_is_filled_and_nothing_else_behind_it(
    plan: list[tuple[int, int, bool]], begin: int, allowed_pb: int
) -> None:
    native, _, _kept = natives(plan)
    pbs, block_pb, ring_pb, ring_offset_pb = 512, 8, 1021, 3
    ring = ffi.new("walb_log_ring *", (ring_offset_pb, ring_pb, pbs, 7, 512))
    with tempfile.TemporaryFile() as file:
        file.write(b"\xee" * ((ring_offset_pb + ring_pb + 16) * pbs))
        file.flush()
        lsid = ffi.new("uint64_t *", begin)
        writes = ffi.from_buffer("walb_log_write[]", native)
        fd = file.fileno()
        assert lib.walb_device_write_log(fd, ring, writes, len(plan), lsid, begin + ring_pb, begin) >= 0
        end = lsid[0]
        exact = os.pread(fd, 1 << 20, 0)

        lsid[0] = begin
        lib.walb_device_write_log(fd, ring, writes, len(plan), lsid, begin + ring_pb, end + allowed_pb)
        filled = os.pread(fd, 1 << 20, 0)
    end_pb = ring_offset_pb + (end - 1) % ring_pb + 1
    missing_pb = -end_pb % block_pb
    is_filled = missing_pb <= allowed_pb and end_pb + missing_pb <= ring_offset_pb + ring_pb
    border = (end_pb + missing_pb * is_filled) * pbs
    # A job of more than one round may have filled blocks that its own packs took next.
    assert filled[: end_pb * pbs] == exact[: end_pb * pbs] and filled[border:] == exact[border:]
    assert filled[end_pb * pbs : border] == bytes(border - end_pb * pbs)


def test_an_error_of_the_system_comes_back_as_its_number() -> None:
    native, _, _kept = natives([(0, 1, False)])
    with open("/dev/full", "wb") as full:
        writes = ffi.from_buffer("walb_log_write[]", native)
        assert lib.walb_device_write_data(full.fileno(), writes, 1) < 0
