"""LogSource: whole packs up to a limit, across the ring end; damage is an error and names its place."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wlog.log_oracle import Write, parse_log
from tests.wlog.log_strategies import (
    PBS,
    RING_PB,
    SALTS,
    WRITES,
    log_device,
    make_super,
    make_write,
    oracle_packs,
    write_log,
)
from walbd.model.error import Corrupted, InvalidArgument, StorageFailure
from walbd.wlog.ring import pb_of_lsid
from walbd.wlog.source import LogSource


def read_all(source: LogSource, size: int, limit: int) -> bytes:
    log, buffer = b"", memoryview(bytearray(size))
    while count := source.read(buffer, limit):
        log += buffer[:count]
    return log


@given(PBS, SALTS, WRITES, st.integers(0, 2000), st.integers(4096, 30000), st.sampled_from([0, 16]))
def test_the_log_is_read_back_across_the_ring_end(
    pbs: int, salt: int, writes: list[Write], lsid: int, size: int, max_pack_pb: int
) -> None:
    super_sector = make_super(pbs, salt, RING_PB[pbs], lsid)
    with log_device(super_sector) as file:
        end, _ = write_log(file, super_sector, writes, lsid, max_pack_pb)
        source = LogSource(file.fileno(), super_sector, lsid)
        log = read_all(source, size, end)
    assert source.end_lsid == end
    assert [(r.offset_lb, r.size_lb, data) for r, data in parse_log(log, pbs, salt, lsid)] == [
        (write.offset_lb, write.size_lb, write.data or b"") for write in writes
    ]


@given(PBS, WRITES.filter(bool), st.data())
def test_nothing_beyond_the_last_pack_below_the_limit_is_read(
    pbs: int, writes: list[Write], data: st.DataObject
) -> None:
    super_sector = make_super(pbs, 3, RING_PB[pbs], 0)
    ends = [lsid + 1 + len(body) // pbs for lsid, _, body in oracle_packs(super_sector, writes, 0, 16)]
    with log_device(super_sector) as file:
        end, _ = write_log(file, super_sector, writes, 0, 16)
        source = LogSource(file.fileno(), super_sector, 0)
        for limit in sorted(data.draw(st.lists(st.integers(0, end), max_size=4))):
            read_all(source, 8192, limit)
            assert source.end_lsid == max((e for e in ends if e <= limit), default=0)
        read_all(source, 8192, end)
        assert source.end_lsid == end == ends[-1]


def test_a_lower_limit_inside_a_pack_does_not_stop_it_half_way() -> None:
    super_sector = make_super(512, 3, RING_PB[512], 0)
    with log_device(super_sector) as file:
        end, _ = write_log(file, super_sector, [make_write(0, 40, 9)], 0)
        source = LogSource(file.fileno(), super_sector, 0)
        buffer = memoryview(bytearray(4096))
        assert source.read(buffer, end) == 4096
        assert len(read_all(source, 4096, 3)) == end * 512 - 4096


@pytest.mark.parametrize(("block", "what"), [(0, "no log pack header"), (1, "data of a record")])
def test_damage_is_an_error_that_names_its_lsid_and_keeps_the_header(block: int, what: str) -> None:
    super_sector = make_super(512, 3, RING_PB[512], 895)
    with log_device(super_sector) as file:
        first, _ = write_log(file, super_sector, [make_write(0, 8, 9)], 895)
        end, _ = write_log(file, super_sector, [make_write(0, 8, 8)], first)
        at = pb_of_lsid(super_sector, first + block) * 512
        os.pwrite(file.fileno(), bytes(512), at)
        source = LogSource(file.fileno(), super_sector, 895)
        with pytest.raises(Corrupted, match=f"lsid {first}: .*{what}"):
            read_all(source, 1 << 20, end)
        assert source.bad_header == os.pread(file.fileno(), 512, pb_of_lsid(super_sector, first) * 512)


def test_a_begin_that_is_no_pack_boundary_is_an_error() -> None:
    super_sector = make_super(512, 3, RING_PB[512], 0)
    with log_device(super_sector) as file:
        end, _ = write_log(file, super_sector, [make_write(0, 8, 9)], 0)
        with pytest.raises(Corrupted, match="lsid 1"):
            read_all(LogSource(file.fileno(), super_sector, 1), 1 << 20, end)


def test_a_buffer_smaller_than_a_block_is_refused() -> None:
    super_sector = make_super(4096, 3, RING_PB[4096], 0)
    with log_device(super_sector) as file, pytest.raises(InvalidArgument, match="smaller than a block"):
        LogSource(file.fileno(), super_sector, 0).read(memoryview(bytearray(512)), 9)


def test_a_log_device_that_ends_in_its_ring_is_an_error() -> None:
    super_sector = make_super(512, 3, RING_PB[512], 0)
    with log_device(super_sector) as file:
        file.truncate(8192)
        with pytest.raises(StorageFailure, match="ends in its ring"):
            LogSource(file.fileno(), super_sector, 0).read(memoryview(bytearray(1 << 20)), 1000)


def test_the_invalid_lsid_lies_nowhere() -> None:
    with pytest.raises(InvalidArgument, match="no lsid"):
        pb_of_lsid(make_super(512, 0, 10, 0), 2**64 - 1)
