"""Settings of a process that is a part of a block device's I/O path."""

from __future__ import annotations

import ctypes
import gc

PR_SET_IO_FLUSHER = 57
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
# glibc takes no larger one.
KEPT_BYTES = 32 << 20
# New objects between two searches for garbage; a queue of requests has fewer.
NEW_OBJECTS = 50_000


def become_io_flusher() -> None:
    """Without it, a thread that needs memory for a write could wait for the kernel to write dirty pages to the very
    device it serves. Threads made later inherit it. Refused without CAP_SYS_RESOURCE, as attaching is."""
    ctypes.CDLL(None).prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0)


def keep_freed_memory() -> None:
    """Buffers of requests come from memory used before instead of fresh pages, whose first touch costs more than the
    copying. Without effect where the C library is not glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)


def seek_garbage_rarely() -> None:
    """What is there now stays, and requests and clients leave next to nothing for the collector. At its usual pace of
    700 new objects it takes a twentieth of a write."""
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS)
