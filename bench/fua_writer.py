"""Writes of 4 KiB with FUA through libnbd: fio's nbd engine cannot ask for FUA. Run by the Python libnbd belongs to.

fua_writer.py SOCKET SIZE_BYTES IN_FLIGHT SECONDS      prints the writes a second, the flush at the end included
"""

from __future__ import annotations

import os
import random
import sys
import time

import nbd  # type: ignore[import-not-found]

BLOCK_BYTES = 4096


def main() -> None:
    """Keeps IN_FLIGHT writes on their way until the time is over."""
    socket, size_bytes, in_flight, seconds = sys.argv[1], *map(int, sys.argv[2:])
    client = nbd.NBD()
    client.connect_unix(socket)
    data = nbd.Buffer.from_bytearray(bytearray(os.urandom(BLOCK_BYTES)))
    rnd = random.Random(1)
    count = 0
    begin = time.monotonic()
    while time.monotonic() - begin < seconds or client.aio_in_flight():
        while client.aio_in_flight() < in_flight and time.monotonic() - begin < seconds:
            offset = rnd.randrange(size_bytes // BLOCK_BYTES) * BLOCK_BYTES
            client.aio_pwrite(data, offset, lambda error: 1, nbd.CMD_FLAG_FUA)
            count += 1
        client.poll(1000)
    client.flush()
    print(count / (time.monotonic() - begin))


if __name__ == "__main__":
    main()
