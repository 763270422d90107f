"""The C core (native/*.h), as cffi presents it."""

from typing import Any

ffi: Any
lib: Any
