"""Start after a crash: the data device is that of a prefix of the history, and no lost write comes back."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wlog.log_oracle import EXIST, PADDING, Record, Write, make_header, parse_header, parse_log
from tests.wlog.log_strategies import (
    DEVICE_LB,
    PBS,
    RING_PB,
    SALTS,
    WRITES,
    data_device,
    image_after,
    log_device,
    make_super,
    make_write,
    oracle_packs,
    write_log,
)
from walbd.model.error import Corrupted, StorageFailure
from walbd.wlog.recovery import _end_of_headers, recover
from walbd.wlog.ring import pb_of_lsid, write_ring
from walbd.wlog.source import LogSource
from walbd.wlog.super_sector import SuperSector, read_super_sector


def content(fd: int) -> bytes:
    return os.pread(fd, DEVICE_LB * 512, 0)


def recorded(fd: int, super_sector: SuperSector, end: int) -> list[tuple[int, int, bytes]]:
    """What the log [oldest, end) says was written."""
    begin, log, buffer = super_sector.oldest_lsid, b"", memoryview(bytearray(1 << 20))
    source = LogSource(fd, super_sector, begin)
    while count := source.read(buffer, end):
        log += buffer[:count]
    assert source.end_lsid == end
    return [(r.offset_lb, r.size_lb, data) for r, data in parse_log(log, super_sector.pbs, super_sector.salt, begin)]


def as_recorded(writes: list[Write]) -> list[tuple[int, int, bytes]]:
    return [(write.offset_lb, write.size_lb, write.data or b"") for write in writes]


def behind_padding(packs: list[tuple[int, bytes, bytes]], super_sector: SuperSector, lsid: int) -> int:
    """The end of the padding that lsid lies in (nobody can tell that its content is lost), else lsid."""
    for pack_lsid, header, _ in packs:
        for record in parse_header(header, super_sector.pbs, super_sector.salt, pack_lsid) or []:
            end = record.lsid + record.data_pb(super_sector.pbs)
            if record.flags & PADDING and record.lsid <= lsid < end:
                return end
    return lsid


@given(PBS, SALTS, WRITES, st.integers(0, 2000), st.data())
def test_a_log_cut_off_anywhere_recovers_to_a_prefix_of_the_history(
    pbs: int, salt: int, writes: list[Write], lsid: int, data: st.DataObject
) -> None:
    super_sector = make_super(pbs, salt, RING_PB[pbs], lsid)
    with log_device(super_sector) as ldev, data_device() as ddev:
        end, ends = write_log(ldev, super_sector, writes, lsid, max_pack_pb=32)
        cut = data.draw(st.integers(lsid, end))
        # A cut block keeps what was there before the log came: noise. All of its bytes differ, so that it is a loss
        # even where the write was zeros.
        write_ring(ldev.fileno(), super_sector, cut, b"\x5a" * pbs * (end - cut))
        recovered = recover(ldev.fileno(), ddev.fileno(), super_sector)
        survived = [write for write, write_end in zip(writes, ends, strict=True) if write_end <= cut]
        packs = oracle_packs(super_sector, writes, lsid, max_pack_pb=32)
        assert recovered.super_sector.written_lsid <= behind_padding(packs, super_sector, cut)
        kept = recorded(ldev.fileno(), super_sector, recovered.super_sector.written_lsid)
        assert kept == as_recorded(writes[: len(kept)])
        assert len(kept) >= len(survived)
        assert content(ddev.fileno()) == image_after(writes[: len(kept)])
        assert (
            read_super_sector(ldev.fileno())
            == recovered.super_sector
            == replace(super_sector, written_lsid=recovered.super_sector.written_lsid)
        )
        again = recover(ldev.fileno(), ddev.fileno(), recovered.super_sector)
        assert (again.redone_pb, again.was_cut, again.stale_count) == (0, False, 0)


@given(PBS, WRITES.filter(bool), st.sets(st.integers(0, 400), max_size=30))
def test_blocks_lost_out_of_order_never_let_a_later_write_survive_an_earlier_one(
    pbs: int, writes: list[Write], lost: set[int]
) -> None:
    super_sector = make_super(pbs, 77, RING_PB[pbs], 150)
    with log_device(super_sector) as ldev, data_device() as ddev:
        end, _ = write_log(ldev, super_sector, writes, 150, max_pack_pb=32)
        for lsid in lost:
            if 150 + lsid < end:
                write_ring(ldev.fileno(), super_sector, 150 + lsid, b"\x5a" * pbs)
        recovered = recover(ldev.fileno(), ddev.fileno(), super_sector)
        kept = recorded(ldev.fileno(), super_sector, recovered.super_sector.written_lsid)
        assert kept == as_recorded(writes[: len(kept)])
        assert content(ddev.fileno()) == image_after(writes[: len(kept)])


@given(PBS, SALTS, WRITES, st.integers(0, 2000), st.integers(1, 8))
def test_the_headers_tell_where_a_log_would_end_however_little_is_looked_at_at_once(
    pbs: int, salt: int, writes: list[Write], lsid: int, window_pb: int
) -> None:
    super_sector = make_super(pbs, salt, RING_PB[pbs], lsid)
    with log_device(super_sector) as ldev, patch("walbd.wlog.recovery.HEADERS_BYTES", window_pb * pbs):
        end, _ = write_log(ldev, super_sector, writes, lsid, max_pack_pb=32)
        assert _end_of_headers(ldev.fileno(), super_sector) == end


def test_a_stale_pack_behind_the_end_never_comes_back() -> None:
    super_sector = make_super(512, 77, RING_PB[512], 0)
    with log_device(super_sector) as ldev, data_device() as ddev:
        first, _ = write_log(ldev, super_sector, [make_write(0, 1, 5)], 0)
        second, _ = write_log(ldev, super_sector, [make_write(1, 1, 6)], first)
        write_log(ldev, super_sector, [make_write(2, 1, 7)], second)
        write_ring(ldev.fileno(), super_sector, first, b"\x5a" * 512)
        recovered = recover(ldev.fileno(), ddev.fileno(), super_sector)
        assert (recovered.super_sector.written_lsid, recovered.stale_count) == (first, 1)
        # The next write ends exactly where the stale pack began.
        write_log(ldev, super_sector, [make_write(9, 1, 8)], first)
        again = recover(ldev.fileno(), ddev.fileno(), recovered.super_sector)
        assert again.super_sector.written_lsid == second
        assert content(ddev.fileno()) == image_after([make_write(0, 1, 5), make_write(9, 1, 8)])


def test_the_search_for_stale_packs_ends_with_what_was_in_flight() -> None:
    super_sector = make_super(512, 77, RING_PB[512], 0)
    with log_device(super_sector) as ldev, data_device() as ddev:
        write_log(ldev, super_sector, [make_write(0, 1, 5)], 100)
        write_log(ldev, super_sector, [make_write(0, 1, 5)], 99)
        assert recover(ldev.fileno(), ddev.fileno(), super_sector, window_pb=100).stale_count == 1


def test_a_torn_pack_is_cut_before_its_first_wrong_record_as_in_the_worked_example() -> None:
    super_sector = make_super(512, 0x12345678, RING_PB[512], 0)
    writes = [make_write(0, 1, 5), make_write(1, 1, 6), make_write(7, 9, 0), make_write(2, 1, 7)]
    with log_device(super_sector) as ldev, data_device() as ddev:
        first, _ = write_log(ldev, super_sector, [make_write(50, 2, 4)], 0)
        write_log(ldev, super_sector, writes, first)
        write_ring(ldev.fileno(), super_sector, first + 2, bytes(512))
        recovered = recover(ldev.fileno(), ddev.fileno(), super_sector)
        assert recovered.was_cut
        assert recovered.super_sector.written_lsid == first + 2
        header = os.pread(ldev.fileno(), 512, pb_of_lsid(super_sector, first) * 512)
        ((_, expected, _),) = oracle_packs(super_sector, writes[:1], first)
        assert header == expected


def test_a_log_that_fills_the_whole_ring_is_redone_to_its_end() -> None:
    super_sector = make_super(512, 1, 60, 36)
    with log_device(super_sector) as ldev, data_device() as ddev:
        writes = [make_write(i, 5, 9 + i) for i in range(10)]
        end, _ = write_log(ldev, super_sector, writes, 36, max_pack_pb=1)
        assert end == 96
        recovered = recover(ldev.fileno(), ddev.fileno(), super_sector)
        assert (recovered.super_sector.written_lsid, recovered.is_overflow) == (96, False)
        assert content(ddev.fileno()) == image_after(writes)


def test_a_record_as_long_as_records_get_is_redone() -> None:
    size_lb = 65528
    super_sector = replace(make_super(4096, 1, 20000, 19000), device_size_lb=size_lb)
    data = os.urandom(size_lb * 512)
    with log_device(super_sector) as ldev, data_device() as ddev:
        ddev.truncate(size_lb * 512)
        write_log(ldev, super_sector, [Write(0, size_lb, data)], 19000)
        recovered = recover(ldev.fileno(), ddev.fileno(), super_sector, window_pb=0)
        assert recovered.normal_lb == size_lb
        assert os.pread(ddev.fileno(), size_lb * 512, 0) == data


def test_a_ring_that_was_overwritten_is_in_overflow() -> None:
    super_sector = replace(make_super(512, 1, 100, 200), oldest_lsid=90)
    with log_device(super_sector) as ldev, data_device() as ddev:
        assert recover(ldev.fileno(), ddev.fileno(), super_sector).is_overflow
        assert recover(ldev.fileno(), ddev.fileno(), replace(super_sector, oldest_lsid=160)).is_overflow
        assert not recover(ldev.fileno(), ddev.fileno(), replace(super_sector, oldest_lsid=200)).is_overflow
        write_log(ldev, super_sector, [make_write(0, 39, 5)], 160)
        assert not recover(ldev.fileno(), ddev.fileno(), replace(super_sector, oldest_lsid=160)).is_overflow


def test_a_record_outside_the_data_device_fails_the_start() -> None:
    super_sector = make_super(512, 1, RING_PB[512], 0)
    with log_device(super_sector) as ldev, data_device() as ddev:
        write_log(ldev, super_sector, [Write(DEVICE_LB - 1, 2, bytes(1024))], 0)
        with pytest.raises(Corrupted, match="outside the data device"):
            recover(ldev.fileno(), ddev.fileno(), super_sector)
        assert content(ddev.fileno()) == image_after([])
        assert read_super_sector(ldev.fileno()) == super_sector


def test_a_verified_header_that_is_malformed_fails_the_start() -> None:
    super_sector = make_super(512, 1, RING_PB[512], 0)
    with log_device(super_sector) as ldev, data_device() as ddev:
        write_ring(ldev.fileno(), super_sector, 0, make_header(512, 1, 0, [Record(0, 1, EXIST, 2, 0, 2)]))
        with pytest.raises(Corrupted, match="malformed"):
            recover(ldev.fileno(), ddev.fileno(), super_sector)


def test_a_data_device_smaller_than_the_log_says_fails_the_start() -> None:
    super_sector = replace(make_super(512, 1, RING_PB[512], 0), device_size_lb=DEVICE_LB + 1)
    with (
        log_device(super_sector) as ldev,
        data_device() as ddev,
        pytest.raises(Corrupted, match="data device has 600 blocks"),
    ):
        recover(ldev.fileno(), ddev.fileno(), super_sector)


def test_a_log_that_cannot_be_read_fails_the_start() -> None:
    super_sector = make_super(512, 1, RING_PB[512], 0)
    with log_device(super_sector) as ldev, data_device() as ddev:
        write_log(ldev, super_sector, [make_write(0, 9, 3)], 0)
        with (
            patch("os.preadv", side_effect=OSError(5, "Input/output error")),
            pytest.raises(StorageFailure, match="read"),
        ):
            recover(ldev.fileno(), ddev.fileno(), super_sector)


def test_a_data_device_that_cannot_be_written_fails_the_start() -> None:
    super_sector = make_super(512, 1, RING_PB[512], 0)
    with log_device(super_sector) as ldev, data_device() as ddev:
        write_log(ldev, super_sector, [make_write(0, 9, 3)], 0)
        with (
            open(f"/proc/self/fd/{ddev.fileno()}", "rb") as read_only,
            pytest.raises(StorageFailure, match="cannot write to the data device, lsid 0"),
        ):
            recover(ldev.fileno(), read_only.fileno(), super_sector)
        assert read_super_sector(ldev.fileno()) == super_sector


def test_the_data_device_is_synced_before_the_super_sector_moves() -> None:
    super_sector = make_super(512, 1, RING_PB[512], 0)
    calls: list[str] = []
    with log_device(super_sector) as ldev, data_device() as ddev:
        write_log(ldev, super_sector, [make_write(0, 1, 3), make_write(1, 1, 4)], 0)
        write_ring(ldev.fileno(), super_sector, 2, bytes(512))
        names = {ldev.fileno(): "ldev", ddev.fileno(): "ddev"}
        real_write, real_sync = os.pwrite, os.fdatasync

        def pwrite(fd: int, data: bytes, position: int) -> int:
            calls.append(f"write {names[fd]} {position // 512}")
            return real_write(fd, data, position)

        def fdatasync(fd: int) -> None:
            calls.append(f"sync {names[fd]}")
            real_sync(fd)

        with patch("os.pwrite", pwrite), patch("os.fdatasync", fdatasync):
            recover(ldev.fileno(), ddev.fileno(), super_sector)
    assert calls == ["sync ldev", "write ldev 10", "sync ddev", "sync ldev", "write ldev 8", "sync ldev"]


def test_a_redone_discard_leaves_a_hole_where_the_file_system_can() -> None:
    super_sector = make_super(512, 1, RING_PB[512], 0)
    with log_device(super_sector) as ldev, data_device() as ddev:
        write_log(ldev, super_sector, [Write(0, DEVICE_LB, None)], 0)
        assert stat.S_ISREG(os.fstat(ddev.fileno()).st_mode)
        recovered = recover(ldev.fileno(), ddev.fileno(), super_sector)
        assert recovered.discard_lb == DEVICE_LB
        assert content(ddev.fileno()) == bytes(DEVICE_LB * 512)
