"""Reading an image at any place."""

from __future__ import annotations

import os
from collections.abc import Callable

from walbd.model.error import StorageFailure


def reading(fd: int, volume: str) -> Callable[[int, memoryview], None]:
    """What fills memory with the bytes from an offset on, for several threads at a time. Blocks; raises
    StorageFailure."""

    def read_at(offset: int, memory: memoryview) -> None:
        while memory:
            try:
                count = os.preadv(fd, [memory], offset)
            except OSError as error:
                raise StorageFailure(f"cannot read the image of {volume} at {offset}: {error.strerror}") from error
            if count == 0:
                raise StorageFailure(f"the image of {volume} ends at {offset}", "was it made smaller?")
            memory, offset = memory[count:], offset + count

    return read_at
