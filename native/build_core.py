"""cffi builder of walbd._core.

The declarations between the marks `cffi-begin` and `cffi-end` of each header are what Python sees, so that a
declaration is written once, in C.
"""

from __future__ import annotations

import re
from pathlib import Path

from cffi import FFI

NATIVE = Path(__file__).resolve().parent
ROOT = NATIVE.parent
HEADERS = sorted(path.name for path in NATIVE.glob("*.h"))
SOURCES = sorted(path.name for path in NATIVE.glob("*.c"))
INCLUDED = re.compile(r'^#include "(.*)"', re.MULTILINE)
MARKED = re.compile(r"/\* cffi-begin \*/(.*?)/\* cffi-end \*/", re.DOTALL)


def included_first(names: list[str], seen: dict[str, None] | None = None) -> list[str]:
    """The headers in an order in which each comes after those that it includes."""
    seen = {} if seen is None else seen
    for name in names:
        if name not in seen:
            included_first(INCLUDED.findall((NATIVE / name).read_text()), seen)
            seen[name] = None
    return list(seen)


def declarations() -> str:
    """All declarations meant for Python, each after what it needs."""
    return "".join("".join(MARKED.findall((NATIVE / name).read_text())) for name in included_first(HEADERS))


ffibuilder = FFI()
ffibuilder.cdef(declarations())
ffibuilder.set_source(
    "walbd._core",
    "".join(f'#include "{name}"\n' for name in HEADERS),
    sources=[f"native/{name}" for name in SOURCES],
    include_dirs=["native"],
    depends=[f"native/{name}" for name in HEADERS],
    extra_compile_args=["-O3", "-std=gnu11", "-pthread", "-Wall", "-Wextra", "-Wno-unused-parameter", "-g"],
    extra_link_args=["-pthread"],
    py_limited_api=False,
)

if __name__ == "__main__":
    ffibuilder.compile(tmpdir=str(ROOT), verbose=True)
