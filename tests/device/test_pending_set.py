from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from walbd.device.user.block_io import Piece
from walbd.device.user.pending import MAX_REGIONS, REGION_LB, PendingSet, overlay

DEVICE_LB = MAX_REGIONS * REGION_LB * 2
ranges = st.tuples(
    st.one_of(st.integers(0, 40), st.integers(0, DEVICE_LB - 1), st.sampled_from([0, REGION_LB - 1, REGION_LB])),
    st.one_of(st.integers(1, 40), st.sampled_from([REGION_LB, DEVICE_LB])),
)


def piece(number: int, offset_lb: int, size_lb: int) -> Piece:
    is_discard = number % 3 == 0 or size_lb > 100
    data = None if is_discard else memoryview(bytes([number % 255 + 1]) * (size_lb * 512))
    return Piece(offset_lb, size_lb, data, 0)


@given(st.lists(st.one_of(ranges, st.none()), max_size=30), ranges)
def test_reads_see_the_newest_pending_content(steps: list[tuple[int, int] | None], wanted: tuple[int, int]) -> None:
    pending, disk, image = PendingSet(), bytearray(DEVICE_LB), bytearray(DEVICE_LB)
    queue: list[Piece] = []
    for number, step in enumerate(steps):
        if step is not None:
            offset, size = step[0], min(step[1], DEVICE_LB - step[0])
            new = piece(number, offset, size)
            pending.add(new)
            queue.append(new)
            image[offset : offset + size] = bytes([0 if new.data is None else new.data[0]]) * size
        elif queue:
            done = queue.pop(0)
            fill = 0 if done.data is None else done.data[0]
            disk[done.offset_lb : done.offset_lb + done.size_lb] = bytes([fill]) * done.size_lb
            pending.remove(done)
    offset, size = wanted[0], min(wanted[1], DEVICE_LB - wanted[0], 600)
    buffer = bytearray(b"".join(bytes([value]) * 512 for value in disk[offset : offset + size]))
    overlay(memoryview(buffer), offset, pending.overlapping(offset, size))
    assert bytes(buffer[::512]) == image[offset : offset + size]
    assert bytes(buffer[511::512]) == image[offset : offset + size]
    for left in queue:
        pending.remove(left)
    assert pending.overlapping(0, DEVICE_LB) == []
