"""What the disk allows a device that keeps the order: a plain program that writes everything twice, the log synced
before the data, the data synced before half of the log is used again."""

from __future__ import annotations

import os
import time
from pathlib import Path

BLOCK_BYTES = 1 << 20
STEP_BYTES = 16 << 20


def synced_writes(log: Path, data: Path, size_bytes: int, seconds: float) -> float:
    """Sequential writes of 1 MiB per second, over and over two files of this size."""
    block = os.urandom(BLOCK_BYTES)
    log_fd, data_fd = os.open(log, os.O_RDWR), os.open(data, os.O_RDWR)
    began = time.monotonic()
    position = 0
    try:
        while time.monotonic() - began < seconds:
            for fd in (log_fd, data_fd):
                for offset in range(0, STEP_BYTES, BLOCK_BYTES):
                    os.pwrite(fd, block, (position + offset) % size_bytes)
                if fd == log_fd:
                    os.fdatasync(fd)
            position += STEP_BYTES
            if position % (size_bytes // 2) == 0:
                os.fdatasync(data_fd)
        return position / BLOCK_BYTES / (time.monotonic() - began)
    finally:
        os.close(log_fd)
        os.close(data_fd)
