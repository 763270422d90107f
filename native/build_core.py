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
MARKED = re.compile(r"/\* cffi-begin \*/(.*?)/\* cffi-end \*/", re.DOTALL)


def declarations() -> str:
    """All declarations meant for Python, in include order of the headers."""
    text = ""
    for name in HEADERS:
        text += "".join(MARKED.findall((NATIVE / name).read_text()))
    return text


ffibuilder = FFI()
ffibuilder.cdef(declarations())
ffibuilder.set_source(
    "walbd._core",
    "".join(f'#include "{name}"\n' for name in HEADERS),
    sources=[f"native/{name}" for name in SOURCES],
    include_dirs=["native"],
    depends=[f"native/{name}" for name in HEADERS],
    extra_compile_args=["-O3", "-std=gnu11", "-Wall", "-Wextra", "-Wno-unused-parameter", "-g"],
    py_limited_api=False,
)

if __name__ == "__main__":
    ffibuilder.compile(tmpdir=str(ROOT), verbose=True)
