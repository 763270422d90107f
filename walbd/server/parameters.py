"""Parameters of control commands, checked before anything is done (walbc.md section 4)."""

from __future__ import annotations

from collections.abc import Sequence

from walbd.model.error import InvalidArgument
from walbd.model.limits import check_bulk_bytes, check_range, check_volume_name
from walbd.model.size import parse_size, parse_uint

SEE_HELP = "walbc COMMAND -h explains the parameters"


class Parameters:
    """Reads positional parameters; every method raises InvalidArgument for what is not acceptable."""

    def __init__(self, params: Sequence[str], least: int, most: int | None = None) -> None:
        """Refuses fewer than `least` and more than `most` (None: as many as there are)."""
        given = len(params)
        if given < least:
            raise InvalidArgument(f"missing required params: {given} {least}", f"{SEE_HELP}: it takes {least} or more")
        if most is not None and given > most:
            raise InvalidArgument(f"bad size:{most}:{given}", f"{SEE_HELP}: it takes {most} or fewer here")
        for index, text in enumerate(params):
            if not text:
                raise InvalidArgument(f"required parameter is empty: {index} {least}")
        self._params = list(params)

    def __len__(self) -> int:
        return len(self._params)

    def text(self, index: int, default: str = "") -> str:
        return self._params[index] if index < len(self._params) else default

    def volume(self, index: int = 0) -> str:
        """The name of a volume."""
        return check_volume_name(self._params[index])

    def number(self, index: int, default: int | None = None) -> int:
        """An unsigned 64-bit decimal: gid, lsid, seconds."""
        if index >= len(self._params) and default is not None:
            return default
        return parse_uint(self._params[index])

    def numbers(self, first: int) -> list[int]:
        """The numbers from one parameter on."""
        return [parse_uint(text) for text in self._params[first:]]

    def size_bytes(self, index: int, default: int | None = None) -> int:
        """A SIZE in bytes."""
        if index >= len(self._params) and default is not None:
            return default
        return parse_size(self._params[index])

    def bulk_bytes(self, index: int, default: int) -> int:
        """The bulk size of a backup or scan."""
        return check_bulk_bytes(self.size_bytes(index, default))

    def number_in(self, index: int, what: str, low: int, high: int, default: int) -> int:
        """A number within a range."""
        return check_range(what, self.number(index, default), low, high)
