"""A log out of one ring and into another is still the same log."""

from __future__ import annotations

import io
import tempfile
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wlog.log_oracle import Write
from tests.wlog.log_strategies import (
    PBS,
    RING_PB,
    SALTS,
    WRITES,
    data_device,
    image_after,
    log_device,
    make_super,
    write_log,
)
from walbd.model.error import Corrupted, InvalidArgument
from walbd.wlog import extract
from walbd.wlog.pack_walk import PackWalk
from walbd.wlog.redo_file import redo_file, redo_unverified
from walbd.wlog.restore import LogRestore, RestoreOptions
from walbd.wlog.super_sector import read_super_sector

DEVICE_LB = 600


def log_file_of(fd: int, begin: int, *, verify: bool = True) -> bytes:
    """The log file of a ring from an lsid on."""
    super_sector, file = read_super_sector(fd), io.BytesIO()
    find = extract.find_log if verify else extract.find_headers
    extract.write_log(file, fd, super_sector, find(fd, super_sector, begin), verify=verify)
    return file.getvalue()


def image_of(log: bytes, *, unverified: bool = False) -> bytes:
    """What the redo of a log file makes of a device."""
    with data_device() as data, tempfile.TemporaryFile() as file:
        file.write(log)
        file.seek(0)
        if unverified:
            redo_unverified(PackWalk(file), data.fileno(), DEVICE_LB)
        else:
            redo_file(file, data.fileno(), DEVICE_LB)
        data.seek(0)
        return data.read()


@given(PBS, SALTS, WRITES, st.integers(0, 2000), st.integers(0, 5000), st.sampled_from([0, 8, 64]))
def test_a_log_restored_anywhere_into_another_ring_is_the_same_history(
    pbs: int, salt: int, writes: list[Write], lsid: int, diff: int, max_pack_pb: int
) -> None:
    first, second = make_super(pbs, salt, RING_PB[pbs], lsid), make_super(pbs, 1, 2 * RING_PB[pbs], 0)
    with log_device(first) as source, log_device(second) as target:
        write_log(source, first, writes, lsid, max_pack_pb)
        log = log_file_of(source.fileno(), lsid)
        assert image_of(log) == image_of(log, unverified=True) == image_after(writes)
        assert log_file_of(source.fileno(), lsid, verify=False) == log
        options = RestoreOptions(lsid_diff=diff, verify=True)
        done = LogRestore(target.fileno(), second, PackWalk(io.BytesIO(log)), options).run()
        assert done.begin_lsid == lsid + diff
        restored = log_file_of(target.fileno(), done.begin_lsid)
        assert image_of(restored) == image_after(writes)
        super_sector = read_super_sector(target.fileno())
        assert (super_sector.salt, super_sector.oldest_lsid) == (salt, done.begin_lsid)


@given(PBS, SALTS, WRITES.filter(bool), st.integers(1, 2000), st.randoms(use_true_random=False))
def test_a_log_file_cut_or_damaged_anywhere_never_passes_for_whole(
    pbs: int, salt: int, writes: list[Write], lsid: int, random: Random
) -> None:
    super_sector = make_super(pbs, salt, RING_PB[pbs], lsid)
    with log_device(super_sector) as source:
        write_log(source, super_sector, writes, lsid)
        log = log_file_of(source.fileno(), lsid)
    size = random.randrange(len(log) - pbs)
    with pytest.raises(Corrupted):
        image_of(log[:size])
    with pytest.raises(Corrupted):
        list(PackWalk(io.BytesIO(log[:size])))


def test_a_log_larger_than_the_ring_is_refused() -> None:
    first, small = make_super(512, 5, 900, 0), make_super(512, 6, 60, 0)
    writes = [Write(i * 40, 40, bytes(40 * 512)) for i in range(5)]
    with log_device(first) as source, log_device(small) as target:
        write_log(source, first, writes, 0, 8)
        log = log_file_of(source.fileno(), 0)
        with pytest.raises(InvalidArgument, match="does not fit into the ring"):
            LogRestore(target.fileno(), small, PackWalk(io.BytesIO(log)), RestoreOptions()).run()
        emptied = read_super_sector(target.fileno())
        assert extract.find_log(target.fileno(), emptied, 0).end_lsid == 0


def test_a_log_of_other_blocks_is_refused() -> None:
    first, other = make_super(512, 5, 900, 0), make_super(4096, 6, 60, 0)
    with log_device(first) as source, log_device(other) as target:
        log = log_file_of(source.fileno(), 0)
        with pytest.raises(InvalidArgument, match="blocks of 512 bytes"):
            LogRestore(target.fileno(), other, PackWalk(io.BytesIO(log)), RestoreOptions())
