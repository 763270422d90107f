"""liblvm2cmd, bound with cffi. Only the helper process loads it: it locks its whole process in memory while it makes
or removes snapshots, aborts when two threads use it, and crashes a process that ends without closing it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cffi import FFI

NAME = "liblvm2cmd.so.2.03"
SUCCEEDED = 1
REPORT_SOURCE = "libdm-report.c"
"""Reports arrive as messages of this source file: nothing is written to stdout."""
ERROR_LEVEL = 3
REPORT_LEVEL = 4

ffi = FFI()
ffi.cdef(
    """
    typedef void (*lvm2_log_fn_t)(int level, const char *file, int line, int dm_errno, const char *message);
    void lvm2_log_fn(lvm2_log_fn_t log_fn);
    void *lvm2_init(void);
    int lvm2_run(void *handle, const char *cmdline);
    void lvm2_exit(void *handle);
    """
)


class LibraryMissing(Exception):
    """The library cannot be loaded or does not start."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a command gave."""

    is_done: bool
    report: str
    errors: str


class Library:
    """One handle. One call at a time, from one thread; `close` before the process ends."""

    def __init__(self) -> None:
        self._report: list[str] = []
        self._errors: list[str] = []
        try:
            library: Any = ffi.dlopen(NAME)
        except OSError as error:
            raise LibraryMissing(f"{NAME}: {error}") from error
        self._lib = library
        self._callback = ffi.callback("lvm2_log_fn_t", self._log)
        self._lib.lvm2_log_fn(self._callback)
        self._handle = self._lib.lvm2_init()
        if not self._handle:
            self._lib.lvm2_log_fn(ffi.NULL)
            raise LibraryMissing(f"{NAME} does not start: {'; '.join(self._errors)}")

    def run(self, words: Sequence[str]) -> Result:
        """Runs a command; words have no blanks."""
        self._report.clear()
        self._errors.clear()
        code = self._lib.lvm2_run(self._handle, os.fsencode(" ".join(words)))
        return Result(code == SUCCEEDED, "\n".join(self._report), "; ".join(dict.fromkeys(self._errors)))

    def close(self) -> None:
        """Nothing may be called afterwards."""
        self._lib.lvm2_exit(self._handle)

    def _log(self, level: int, file: Any, _line: int, _errno: int, message: Any) -> None:
        # About 180 calls per command, most of them for debugging.
        if level > REPORT_LEVEL:
            return
        if level <= ERROR_LEVEL:
            self._errors.append(_text(message))
        elif _text(file).endswith(REPORT_SOURCE):
            self._report.append(_text(message))


def _text(pointer: Any) -> str:
    text: Any = ffi.string(pointer)
    return str(text, errors="replace").strip()
