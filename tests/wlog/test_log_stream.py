"""The incremental parser: the same events however the bytes are cut, every damage found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wlog.log_oracle import Write
from tests.wlog.log_strategies import PBS, SALTS, WRITES, make_super, oracle_packs
from walbd._core import ffi, lib
from walbd.wlog.log_file import end_block
from walbd.wlog.stream import LogStream

LSID = 250
RING_PB = 2000


class Events:
    """Drives walb_log_next and collects what it says."""

    def __init__(self, pbs: int, salt: int, lsid: int) -> None:
        self.stream = ffi.new("walb_log_stream *")
        lib.walb_log_stream_init(self.stream, pbs, salt, lsid)
        self.writes: list[Write] = []
        self.data = b""
        self.pack_ends: list[int] = []
        self.used = 0

    def feed(self, piece: bytes) -> int:
        held = ffi.from_buffer(piece)
        begin = ffi.cast("uint8_t *", held)
        position = ffi.new("uint8_t **", begin)
        event = ffi.new("walb_log_event *")
        while True:
            result = int(lib.walb_log_next(self.stream, position, begin + len(piece), event))
            if result == lib.WALB_LOG_DATA:
                assert event.data_offset == len(self.data)
                self.data += ffi.buffer(event.data, event.len)[:]
            elif result == lib.WALB_LOG_RECORD:
                record = self.stream.pack.records[event.record]
                is_discard = record.flags & lib.WALB_LOG_DISCARD
                self.writes.append(Write(record.offset_lb, record.size_lb, None if is_discard else self.data))
                self.data = b""
            elif result == lib.WALB_LOG_PACK_END:
                self.pack_ends.append(self.stream.next_lsid)
            elif result != lib.WALB_LOG_PACK:
                self.used += position[0] - begin
                return result


def a_log(pbs: int, salt: int, writes: list[Write], max_pack_pb: int = 0) -> tuple[bytes, list[int]]:
    """Bytes of a log and the ends of its packs."""
    packs = oracle_packs(make_super(pbs, salt, RING_PB, 0), writes, LSID, max_pack_pb)
    return b"".join(head + data for _, head, data in packs), [lsid + 1 + len(data) // pbs for lsid, _, data in packs]


@given(PBS, SALTS, WRITES, st.sampled_from([0, 16]), st.lists(st.integers(1, 5000), min_size=1))
def test_a_history_is_read_back_however_the_log_is_cut(
    pbs: int, salt: int, writes: list[Write], max_pack_pb: int, cuts: list[int]
) -> None:
    log, ends = a_log(pbs, salt, writes, max_pack_pb)
    events, at = Events(pbs, salt, LSID), 0
    while at < len(log):
        step = cuts[at % len(cuts)]
        assert events.feed(log[at : at + step]) == lib.WALB_LOG_MORE
        at += step
    assert events.writes == writes
    assert events.pack_ends == ends
    assert lib.walb_log_at_boundary(events.stream)


@given(PBS, SALTS, WRITES, st.binary(max_size=40))
def test_the_end_block_ends_the_stream_and_what_follows_is_not_touched(
    pbs: int, salt: int, writes: list[Write], behind: bytes
) -> None:
    log, _ = a_log(pbs, salt, writes)
    log += end_block(pbs, salt)
    events = Events(pbs, salt, LSID)
    assert events.feed(log + behind) == lib.WALB_LOG_END
    assert events.used == len(log)
    assert events.feed(behind) == lib.WALB_LOG_END
    assert events.used == len(log)


@given(PBS, SALTS, WRITES.filter(bool), st.data())
def test_a_flipped_bit_is_found_wherever_a_checksum_covers(
    pbs: int, salt: int, writes: list[Write], data: st.DataObject
) -> None:
    log, _ = a_log(pbs, salt, writes)
    changed = bytearray(log)
    changed[data.draw(st.integers(0, len(log) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    events = Events(pbs, salt, LSID)
    result = events.feed(bytes(changed))
    if result < 0:
        assert events.writes == writes[: len(events.writes)]
        assert events.feed(log) == result
    else:
        # Padding and the rest of a record's last block are covered by nothing.
        assert (result, events.writes) == (lib.WALB_LOG_MORE, writes)


@given(PBS, SALTS, st.binary(max_size=9000))
def test_noise_ends_in_an_error(pbs: int, salt: int, noise: bytes) -> None:
    assert (Events(pbs, salt, LSID).feed(noise) == lib.WALB_LOG_MORE) == (len(noise) < pbs)


@given(PBS, SALTS, WRITES.filter(bool), st.data())
def test_verification_stops_before_the_first_pack_that_ends_behind_the_limit(
    pbs: int, salt: int, writes: list[Write], data: st.DataObject
) -> None:
    log, ends = a_log(pbs, salt, writes, 16)
    limit = data.draw(st.integers(LSID, ends[-1] + 1))
    stream = LogStream(pbs, salt, LSID)
    verified = stream.verify(log, limit)
    within = [end for end in ends if end <= limit]
    end = within[-1] if within else LSID
    assert verified.used_bytes == (end - LSID) * pbs
    assert (stream.next_lsid, stream.is_at_boundary) == (end, True)
    assert stream.verify(log[verified.used_bytes :]).used_bytes == len(log) - verified.used_bytes
    assert stream.next_lsid == ends[-1]


@pytest.mark.parametrize("pbs", [0, 777, 8192])
def test_a_stream_of_a_block_size_that_does_not_exist_yields_only_that_error(pbs: int) -> None:
    assert Events(pbs, 1, LSID).feed(bytes(4096)) == lib.WALB_LOG_BAD_PBS
