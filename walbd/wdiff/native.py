"""Calling the C core: what it takes as bytes, and its failures as errors of ours (which file, where in it, what)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, TypeAlias

from walbd._core import ffi, lib
from walbd.model.error import BadState, Corrupted, StorageFailure, WalbError

# What the core takes as bytes. Pass `ffi.from_buffer(...)` of a memoryview directly in the call (or within `with`): a
# frame that keeps it alive in an exception's cycle makes the garbage collector of CPython 3.11 crash.
Bytes: TypeAlias = bytes | bytearray | memoryview


def new_failure() -> Any:
    """A `walb_failure` for calls into the core. One object per caller: it is written during the call."""
    return ffi.new("walb_failure *", {"source": -1})


def error_of(failure: Any, output: str, inputs: Sequence[str] = ()) -> WalbError:
    """The error that a failure stands for; `output` names what it belongs to when it is none of the inputs."""
    name = inputs[failure.source] if 0 <= failure.source < len(inputs) else output
    text = f"{name}: {ffi.string(failure.text).decode(errors='replace')}"
    if failure.code == lib.WALB_FAIL_CORRUPT:
        return Corrupted(text)
    if failure.code == lib.WALB_FAIL_SYSTEM:
        return StorageFailure(f"{text}: {os.strerror(failure.sys_errno)}")
    if failure.code == lib.WALB_FAIL_RANGE:
        return BadState(text, "grow the volume's image first (resize)")
    return StorageFailure(text)
