"""What several clients did to a device at the same time, and whether anything explains what they saw and found.

Each block of 512 bytes is a register: there must be one order of the requests, each at a moment between its begin and
its end, in which every read returns what the last write before it wrote. For values that are written once this is
decided exactly (P. Gibbons, E. Korach: Testing Shared Memories, 1997); of zeros, which are written often, only what
would be wrong in any case is found.
"""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

LB_BYTES = 512
NEVER = 1 << 62
BEFORE_ALL = -1


class Kind(enum.Enum):
    """What a client may ask for."""

    READ = enum.auto()
    WRITE = enum.auto()
    TRIM = enum.auto()
    ZERO = enum.auto()
    FLUSH = enum.auto()


@dataclass(slots=True, eq=False)
class Request:
    """One request for `count` blocks from `first` on. A WRITE fills them with `value`, which no other write uses; a
    READ has `seen` these values. From `begin` to `end`, in moments of any clock; NEVER: no answer came."""

    kind: Kind
    first: int = 0
    count: int = 0
    value: int = 0
    is_fua: bool = False
    begin: int = NEVER
    end: int = NEVER
    seen: list[int] = field(default_factory=list)

    @property
    def changes(self) -> bool:
        """Whether it changes the device."""
        return self.kind in (Kind.WRITE, Kind.TRIM, Kind.ZERO)


def block_of(value: int) -> bytes:
    """What a block that holds a value looks like."""
    return value.to_bytes(8, "little") * (LB_BYTES // 8)


def values_of(content: bytes) -> list[int]:
    """The values of consecutive blocks, none of which may be a mixture."""
    values = []
    for at in range(0, len(content), LB_BYTES):
        value = int.from_bytes(content[at : at + 8], "little")
        assert content[at : at + LB_BYTES] == block_of(value), f"block {at // LB_BYTES} of a request is a mixture"
        values.append(value)
    return values


def start_from(values: Sequence[int]) -> list[Request]:
    """Writes that stand for what a device holds to begin with."""
    return [Request(Kind.WRITE, block, 1, value, begin=BEFORE_ALL, end=0) for block, value in enumerate(values)]


class Access(NamedTuple):
    """A request as one block sees it."""

    begin: int
    end: int
    value: int
    is_write: bool


def check_registers(requests: Iterable[Request]) -> None:
    """Fails when no order of the requests explains what was read of some block."""
    blocks: defaultdict[int, list[Access]] = defaultdict(list)
    for request in requests:
        if request.changes:
            for block in range(request.first, request.first + request.count):
                blocks[block].append(Access(request.begin, request.end, request.value, True))
        elif request.kind is Kind.READ and request.end != NEVER:
            for block, value in enumerate(request.seen, request.first):
                blocks[block].append(Access(request.begin, request.end, value, False))
    for block, accesses in blocks.items():
        _check_register(f"block {block}", accesses)


def _check_register(where: str, accesses: list[Access]) -> None:
    clusters: defaultdict[int, list[Access]] = defaultdict(list)
    for access in accesses:
        clusters[access.value].append(access)
    zeros = clusters.pop(0, [])
    held: list[tuple[int, int]] = []  # from the first to the second moment it has one value, whatever the order is
    free = [(access.begin, access.end) for access in zeros]  # at some moment between it has another
    written: list[tuple[int, int]] = []
    for value, cluster in clusters.items():
        writes = [access for access in cluster if access.is_write]
        assert len(writes) == 1, f"{where}: {value} was read and never written"
        first_end, last_begin = min(access.end for access in cluster), max(access.begin for access in cluster)
        assert writes[0].begin < first_end, f"{where}: {value} was read before it was written"
        written.append((writes[0].begin, first_end))
        (held if first_end < last_begin else free).append((min(first_end, last_begin), max(first_end, last_begin)))
    held.sort()
    for (_, end), (begin, _) in pairwise(held):
        assert end < begin, f"{where} had two values at moment {begin}"
    for begin, end in free:
        assert not any(a < begin and end < b for a, b in held), f"{where} had another value from {begin} to {end}"
    for read in zeros:
        if not read.is_write:
            _check_zero(where, read, [access for access in zeros if access.is_write], held + written)


def _check_zero(where: str, read: Access, zeros: list[Access], others: list[tuple[int, int]]) -> None:
    """Between the latest zeros that this read may have seen and the read there must not surely have been a value."""
    latest_end = max((zero.end for zero in zeros if zero.begin < read.end), default=BEFORE_ALL - 1)
    is_stale = any(latest_end < begin and end < read.begin for begin, end in others)
    assert latest_end >= BEFORE_ALL and not is_stale, f"{where} was read as zeros at {read.begin}, after a write"


def check_survivors(requests: Sequence[Request], values: Sequence[int]) -> None:
    """Fails when the device, found with these values after a power cut, is not as after a prefix of the requests that
    contains all that was completed before a flush that was answered, and what was answered with FUA."""
    changes = [request for request in requests if request.changes]
    by_place = {(block, change.value): change for change in changes for block in _blocks(change) if change.value}
    found = {block: by_place.get((block, value)) for block, value in enumerate(values) if value}
    for block, change in found.items():
        assert change is not None, f"block {block} holds {values[block]}, which was not written there"
    # Whatever had ended before one of these began comes before it in the order of the log.
    known = [change.begin for change in found.values() if change is not None]
    known += [each.begin for each in requests if each.end != NEVER and (each.kind is Kind.FLUSH or each.is_fua)]
    moment = max(known, default=BEFORE_ALL)
    needed: defaultdict[int, int] = defaultdict(lambda: BEFORE_ALL)
    zero_ends: defaultdict[int, int] = defaultdict(lambda: BEFORE_ALL - 1)
    for change in changes:
        for block in _blocks(change):
            if change.end < moment or (change.is_fua and change.end != NEVER):
                needed[block] = max(needed[block], change.begin)
            if not change.value:
                zero_ends[block] = max(zero_ends[block], change.end)
    for block, value in enumerate(values):
        there = found.get(block)
        end = there.end if there is not None else zero_ends[block]
        assert end >= needed[block], f"block {block} lost what was written at {needed[block]}: it holds {value}"


def _blocks(request: Request) -> range:
    return range(request.first, request.first + request.count)
