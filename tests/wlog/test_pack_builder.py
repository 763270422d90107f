"""The builder of log packs: the same bytes as plain Python, and its limits."""

from __future__ import annotations

import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.wlog.log_oracle import PADDING, PackWriter, Write, parse_header, parse_log
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
from tests.wlog.pack_builder import PackBuilder, max_write_lb
from tests.wlog.test_pack_parse import EXAMPLE, WRAPPING
from walbd._core import ffi
from walbd.model.error import InvalidArgument, StorageFailure
from walbd.wlog.ring import read_ring
from walbd.wlog.super_sector import SuperSector


def read_log(fd: int, super_sector: SuperSector, begin: int, end: int) -> bytes:
    """The blocks of the log [begin, end), at most a ring long."""
    buffer = bytearray((end - begin) * super_sector.pbs)
    read_ring(fd, super_sector, begin, memoryview(buffer))
    return bytes(buffer)


@example(1024, 0, [make_write(0, 8, 1)], 1, 496)  # padding and a write that do not fit the largest pack together
@given(PBS, SALTS, WRITES, st.sampled_from([0, 1, 16, 64]), st.integers(0, 2000))
def test_the_log_on_the_device_is_that_of_the_oracle(
    pbs: int, salt: int, writes: list[Write], max_pack_pb: int, lsid: int
) -> None:
    super_sector = make_super(pbs, salt, RING_PB[pbs], lsid)
    packs = oracle_packs(super_sector, writes, lsid, max_pack_pb)
    with log_device(super_sector) as file:
        before = read_log(file.fileno(), super_sector, lsid, lsid + RING_PB[pbs])
        end, _ = write_log(file, super_sector, writes, lsid, max_pack_pb)
        assert end == (packs[-1][0] + 1 + len(packs[-1][2]) // pbs if packs else lsid)
        after = read_log(file.fileno(), super_sector, lsid, lsid + RING_PB[pbs])
    expected = bytearray(before)
    for pack_lsid, header, data in packs:
        at = (pack_lsid - lsid) * pbs
        expected[at : at + pbs] = header
        records = parse_header(header, pbs, salt, pack_lsid)
        assert records
        for record in records:
            begin, size = record.lsid_local * pbs, record.data_pb(pbs) * pbs
            if not record.flags & PADDING:
                expected[at + begin : at + begin + size] = data[begin - pbs : begin - pbs + size]
    assert after == bytes(expected)


@given(PBS, SALTS, WRITES.filter(bool), st.integers(0, 2**40))
def test_the_lsid_range_of_each_write_holds_its_records(pbs: int, salt: int, writes: list[Write], lsid: int) -> None:
    super_sector = make_super(pbs, salt, 5000, 0)
    builder, keep = PackBuilder(super_sector, max_writes=len(writes)), []
    for write in writes:
        if write.data is None:
            builder.add_discard(write.offset_lb, write.size_lb)
        else:
            keep.append(ffi.from_buffer(write.data))
            builder.add(write.offset_lb, write.size_lb, keep[-1])
    builder.build(lsid, 2**63)
    log = b"".join(head + data for _, head, data in oracle_packs(super_sector, writes, lsid))
    found = [record for record, _ in parse_log(log, pbs, salt, lsid)]
    for index, record in enumerate(found):
        assert builder.lsids_of(index) == (record.lsid, record.lsid + record.data_pb(pbs))


@given(PBS, WRITES, st.integers(0, 3000), st.integers(0, 300))
def test_building_stops_at_the_limit_and_goes_on_from_there(
    pbs: int, writes: list[Write], lsid: int, room: int
) -> None:
    super_sector = make_super(pbs, 1, 3000, 0)
    builder, keep = PackBuilder(super_sector, max_writes=max(1, len(writes))), []
    for write in writes:
        keep.append(ffi.from_buffer(write.data or b""))
        if write.data is None:
            builder.add_discard(write.offset_lb, write.size_lb)
        else:
            builder.add(write.offset_lb, write.size_lb, keep[-1])
    stopped = builder.build(lsid, lsid + room)
    assert builder.end_lsid <= lsid + room
    writer = PackWriter(pbs, 1, 3000, lsid)
    for write in writes[:stopped]:
        writer.add(write)
    writer.close()
    assert builder.end_lsid == writer.lsid
    if stopped < len(writes):
        writer = PackWriter(pbs, 1, 3000, lsid)
        for write in writes[: stopped + 1]:
            writer.add(write)
        writer.close()
        assert writer.lsid > lsid + room, "it stopped although the next write had room"
        assert builder.build(builder.end_lsid, 2**63, stopped) == len(writes)


@pytest.mark.parametrize("pbs", [512, 4096])
def test_the_worked_examples_are_built_byte_for_byte(pbs: int) -> None:
    if pbs == 512:
        super_sector, lsid, expected = make_super(512, 0x12345678, 2038, 0), 5, EXAMPLE
        words = b"".join(i.to_bytes(4, "little") for i in range(128))
        writes = [Write(100, 1, words), Write(2048, 100000, None), Write(200, 3, bytes(1536))]
    else:
        super_sector, lsid, expected = make_super(4096, 0xDEADBEEF, 253, 0), 250, WRAPPING
        writes = [Write(3, 1, b"q" * 512), Write(8, 9, b"r" * 9 * 512)]
    with log_device(super_sector) as file:
        write_log(file, super_sector, writes, lsid)
        assert read_log(file.fileno(), super_sector, lsid, lsid + 1) == expected


@pytest.mark.parametrize("pbs", [512, 4096])
@pytest.mark.parametrize("size_lb", [65529])
def test_a_write_longer_than_a_record_is_split(pbs: int, size_lb: int) -> None:
    data = os.urandom(4096) * (size_lb // 8 + 1)
    write = Write(5, size_lb, data[: size_lb * 512])
    super_sector = make_super(pbs, 9, 300000, 0)
    # Close to the ring end, so that padding, and padding that fills a pack, occur as well.
    lsid = super_sector.ring_size_pb - 65520 * 512 // pbs
    packs = oracle_packs(super_sector, [write], lsid)
    log = b"".join(head + data for _, head, data in packs)
    found = list(parse_log(log, pbs, 9, lsid))
    assert b"".join(data for _, data in found) == write.data
    builder = PackBuilder(super_sector)
    builder.add(5, size_lb, ffi.from_buffer(data))
    assert builder.build(lsid, 2**63) == 1
    assert builder.pack_count == len(packs)
    assert builder.lsids_of(0) == (found[0][0].lsid, builder.end_lsid)


def test_a_flush_starts_a_new_pack() -> None:
    builder = PackBuilder(make_super(512, 1, 1000, 0))
    data = ffi.from_buffer(bytes(512))
    builder.add(0, 1, data)
    builder.add(1, 1, data)
    builder.add(2, 1, data, starts_pack=True)
    builder.build(0, 1000)
    assert [builder.lsids_of(i) for i in range(3)] == [(1, 2), (2, 3), (4, 5)]
    assert builder.pack_count == 2


@pytest.mark.parametrize("pbs", [512, 4096])
def test_the_longest_write_fits_at_every_place_of_an_empty_ring(pbs: int) -> None:
    super_sector = make_super(pbs, 1, 61, 0)
    size_lb = max_write_lb(super_sector)
    assert size_lb * 512 >= 61 * pbs // 2 - 3 * pbs
    data = ffi.from_buffer(bytes(size_lb * 512))
    builder = PackBuilder(super_sector)
    builder.add(0, size_lb, data)
    for lsid in range(61):
        assert builder.build(lsid, lsid + 61) == 1


@pytest.mark.parametrize("write", [(0, 0), (2**64 - 1, 2), (0, 1000)])
def test_a_write_that_can_never_fit_is_refused_but_not_those_before_it(write: tuple[int, int]) -> None:
    builder = PackBuilder(make_super(512, 1, 1000, 0))
    data = ffi.new("uint8_t[]", 512000)
    builder.add(0, 1, data)
    builder.add(*write, data)
    assert builder.build(0, 1000) == 1
    with pytest.raises(InvalidArgument, match="does not fit into the log"):
        builder.build(2, 1000, 1)


def test_a_failing_log_device_is_reported() -> None:
    super_sector = make_super(512, 1, 1000, 0)
    builder = PackBuilder(super_sector)
    builder.add_discard(0, 1)
    builder.build(0, 1000)
    with open("/dev/null", "rb") as read_only, pytest.raises(StorageFailure, match="log device"):
        builder.write(read_only.fileno())


def test_many_small_writes_fill_their_packs() -> None:
    writes = [make_write(i % 500, 1, i + 2) for i in range(3000)]
    super_sector = make_super(512, 5, 10000, 0)
    with log_device(super_sector) as file:
        end, _ = write_log(file, super_sector, writes, 0)
        assert end == 3000 + 200
        log = read_log(file.fileno(), super_sector, 0, end)
    assert [data for _, data in parse_log(log, 512, 5, 0)] == [write.data for write in writes]
