"""Where a server listens: `HOST:PORT` (snapshot-model.md section 3, walbc.md section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from walbd.model.error import InvalidArgument
from walbd.model.limits import MAX_HOST_NAME, check_range
from walbd.model.size import parse_uint
from walbd.model.varint import Decoder, Encoder, Record

_MAX_PORT = 65535
_HINT = "write HOST:PORT with a name or an IPv4 address"


@dataclass(frozen=True, slots=True)
class Address(Record):
    """Host (a name or an address) and TCP port. Only HOST:PORT of a name or an IPv4 address can be parsed."""

    host: str
    port: int

    def __post_init__(self) -> None:
        if not 1 <= len(self.host) <= MAX_HOST_NAME or any(c in ", " or not c.isprintable() for c in self.host):
            raise InvalidArgument(f"bad host name:{self.host[:80]}", _HINT)
        try:
            self.host.encode("idna")  # what a resolver would make of it
        except UnicodeError as error:
            raise InvalidArgument(f"bad host name:{self.host[:80]}", _HINT) from error
        check_range("port", self.port, 1, _MAX_PORT)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The address of `HOST:PORT`; raises InvalidArgument."""
        host, colon, port = text.partition(":")
        if not colon:
            raise InvalidArgument(f"bad address:{text[:80]}", "write HOST:PORT")
        return cls(host, parse_uint(port))

    def write(self, out: Encoder) -> None:
        out.string(self.host).u16(self.port)

    @classmethod
    def read(cls, data: Decoder) -> Self:
        return data.build(cls, data.string(), data.u16())
