from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from walbd._core import ffi
from walbd.device.user.pending import PendingSet
from walbd.device.user.writes import NATIVE

DEVICE_LB = 64
ranges = st.tuples(st.integers(0, DEVICE_LB - 1), st.integers(1, DEVICE_LB))
writes = st.tuples(st.lists(ranges, min_size=1, max_size=5), st.integers(1, 5))


class Image:
    """A device of one byte a block, with writes on their way to it."""

    def __init__(self) -> None:
        self.pending = PendingSet()
        self.disk, self.image = bytearray(DEVICE_LB), bytearray(DEVICE_LB)
        self.queue: list[tuple[int, int, bytes]] = []
        self.kept: list[bytes] = []
        self.number = 0

    def write(self, ranges: list[tuple[int, int]], first: int) -> None:
        """Adds writes, and discards, of which only the first ones are in the log."""
        native = b""
        for offset, most in ranges:
            self.number += 1
            size = min(most, DEVICE_LB - offset)
            data = bytes([self.number % 255 + 1]) * (size * 512)
            is_discard = self.number % 3 == 0
            self.kept.append(data)
            address = int(ffi.cast("uintptr_t", ffi.from_buffer(data)))
            native += NATIVE.pack(offset, address, size, is_discard, 0, 0, 0)
            if len(native) <= first * NATIVE.size:
                self.queue.append((offset, size, bytes(len(data)) if is_discard else data))
                self.image[offset : offset + size] = self.queue[-1][2][:size]
        self.pending.add(native, min(first, len(ranges)))

    def store(self, count: int) -> None:
        """The oldest get to the disk."""
        for offset, size, data in self.queue[:count]:
            self.disk[offset : offset + size] = data[:size]
        del self.queue[:count]
        self.pending.drop(count)


@given(st.lists(st.one_of(writes, st.integers(1, 6)), max_size=40), ranges)
def test_reads_see_the_newest_pending_content(
    steps: list[tuple[list[tuple[int, int]], int] | int], wanted: tuple[int, int]
) -> None:
    image = Image()
    for each in steps:
        if isinstance(each, tuple):
            image.write(*each)
        else:
            image.store(min(each, len(image.queue)))
    offset, size = wanted[0], min(wanted[1], DEVICE_LB - wanted[0])
    buffer = bytearray(b"".join(bytes([value]) * 512 for value in image.disk[offset : offset + size]))
    touching = [(at, at + n) for at, n, _ in image.queue if at < offset + size and offset < at + n]
    held = image.pending.held(offset, size)
    if held is not None:
        held.overlay(memoryview(buffer))
    assert bytes(buffer[::512]) == bytes(buffer[511::512]) == image.image[offset : offset + size]
    assert image.pending.spans(offset, size) == touching
    assert image.pending.touches(offset, size) == bool(touching) == (held is not None)
    image.store(len(image.queue))
    assert len(image.pending) == 0 and image.pending.spans(0, DEVICE_LB) == []


def test_thousands_of_writes_are_kept_in_order() -> None:
    image = Image()
    for number in range(3000):
        image.write([(number % DEVICE_LB, 1)], 1)
        if number % 3:
            image.store(1)
    held = image.pending.held(0, DEVICE_LB)
    assert held is not None and bytes(held.content[::512]) == image.image
