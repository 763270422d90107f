"""Bytes of metadata files and message fields (snapshot-model.md section 2).

Integers are variable-length, raw ones little endian. The decoder never reads past its data, takes no memory a length
field merely claims, and refuses what is left over.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Self, TypeVar

from walbd.model.error import Corrupted, InvalidArgument
from walbd.model.limits import MAX_LIST_ITEMS, MAX_STRING_BYTES

_BITS_64 = 64
_BITS_32 = 32
# Header bytes with a payload: 80-83 zero-extended, 84-87 sign-extended, of 1, 2, 4 and 8 bytes.
_FIRST_HEADER = 0x80
_FIRST_SIGNED = 0x84
_LAST_HEADER = 0x87

T = TypeVar("T")


def encode_varint(value: int, bits: int = _BITS_64) -> bytes:
    """The reference's encoding of an unsigned value of 64 or 32 bits: the first of its rules that keeps the value."""
    if not 0 <= value < 1 << bits:
        raise InvalidArgument(f"integer does not fit {bits} bits:{value}")
    signed = value - (1 << bits) if value >> (bits - 1) else value
    if -0x80 <= signed <= 0x7F:
        byte = value & 0xFF
        return bytes((_FIRST_SIGNED, byte)) if _FIRST_HEADER <= byte <= _LAST_HEADER else bytes((byte,))
    if value <= 0xFF:
        return bytes((0x80, value))
    if value <= 0xFFFF:
        return b"\x81" + value.to_bytes(2, "little")
    if signed >= -0x8000 and signed < 0:
        return b"\x85" + signed.to_bytes(2, "little", signed=True)
    if value <= 0xFFFF_FFFF:
        return b"\x82" + value.to_bytes(4, "little")
    if signed >= -0x8000_0000 and signed < 0:
        return b"\x86" + signed.to_bytes(4, "little", signed=True)
    return b"\x83" + value.to_bytes(8, "little")


class Encoder:
    """Collects fields; each method appends one and returns the encoder."""

    __slots__ = ("_data",)

    def __init__(self) -> None:
        self._data = bytearray()

    def raw(self, data: bytes | bytearray | memoryview) -> Self:
        """The bytes as they are, without a length (uuids)."""
        self._data += data
        return self

    def u8(self, value: int) -> Self:
        return self._fixed(value, 1)

    def u16(self, value: int) -> Self:
        """Two raw bytes, little endian (preambles, ports)."""
        return self._fixed(value, 2)

    def bool(self, value: bool) -> Self:
        return self._fixed(int(value), 1)

    def varint(self, value: int) -> Self:
        """An unsigned 64-bit integer (gid, lsid, time, size)."""
        self._data += encode_varint(value)
        return self

    def varint32(self, value: int) -> Self:
        """An unsigned integer of a field that is 32 bits wide."""
        self._data += encode_varint(value, _BITS_32)
        return self

    def string(self, text: str) -> Self:
        """Byte count and UTF-8; bytes that were no UTF-8 when they were decoded come back as they were."""
        data = text.encode("utf-8", "surrogateescape")
        if len(data) > MAX_STRING_BYTES:
            raise InvalidArgument(f"string too long:{len(data)}:{text[:80]}", f"use up to {MAX_STRING_BYTES} bytes")
        return self.varint(len(data)).raw(data)

    def list_of_strings(self, items: Sequence[str]) -> Self:
        """Element count and strings."""
        if len(items) > MAX_LIST_ITEMS:
            raise InvalidArgument(f"list too long:{len(items)}", f"use up to {MAX_LIST_ITEMS} elements")
        self.varint(len(items))
        for item in items:
            self.string(item)
        return self

    def bytes(self) -> bytes:
        return bytes(self._data)

    def _fixed(self, value: int, size: int) -> Self:
        if not 0 <= value < 1 << 8 * size:
            raise InvalidArgument(f"integer does not fit {8 * size} bits:{value}")
        self._data += value.to_bytes(size, "little")
        return self


class Decoder:
    """Takes fields from data that `what` names in errors; anything wrong raises Corrupted."""

    __slots__ = ("_data", "_pos", "what")

    def __init__(self, data: bytes | bytearray | memoryview, what: str) -> None:
        self._data = memoryview(data)
        self._pos = 0
        self.what = what

    @property
    def remaining_bytes(self) -> int:
        return len(self._data) - self._pos

    def raw(self, size: int) -> bytes:
        if size > self.remaining_bytes:
            raise Corrupted(f"{self.what}: ends early: {size} bytes wanted, {self.remaining_bytes} left")
        end = self._pos + size
        data = bytes(self._data[self._pos : end])
        self._pos = end
        return data

    def u8(self) -> int:
        return self.raw(1)[0]

    def u16(self) -> int:
        return int.from_bytes(self.raw(2), "little")

    def bool(self) -> bool:
        value = self.u8()
        if value > 1:
            raise Corrupted(f"{self.what}: bad flag byte: {value:#04x}")
        return value == 1

    def varint(self) -> int:
        return self._varint(_BITS_64)

    def varint32(self) -> int:
        return self._varint(_BITS_32)

    def string(self, max_bytes: int = MAX_STRING_BYTES) -> str:
        size = self.varint()
        if size > max_bytes:
            raise Corrupted(f"{self.what}: string of {size} bytes is longer than {max_bytes}")
        return self.raw(size).decode("utf-8", "surrogateescape")

    def list_of_strings(self, max_items: int = MAX_LIST_ITEMS) -> list[str]:
        count = self.varint()
        # Each element takes a byte at least, so that the count can be refused before anything is built.
        if count > min(max_items, self.remaining_bytes):
            raise Corrupted(f"{self.what}: list of {count} elements is longer than its limit or its data")
        return [self.string() for _ in range(count)]

    def preamble(self, expected: int) -> None:
        """Takes the u16 every stored object begins with."""
        found = self.u16()
        if found != expected:
            raise Corrupted(f"{self.what}: preamble is {found:#06x} instead of {expected:#06x}")

    def build(self, make: Callable[..., T], *args: object) -> T:
        """make(*args), with a value it refuses reported as damage of this data."""
        try:
            return make(*args)
        except InvalidArgument as error:
            raise Corrupted(f"{self.what}: {error.message}", error.hint) from error

    def finish(self) -> None:
        """Refuses trailing bytes."""
        if self.remaining_bytes:
            raise Corrupted(f"{self.what}: {self.remaining_bytes} bytes too many")

    def _varint(self, bits: int) -> int:
        header = self.u8()
        if not _FIRST_HEADER <= header <= _LAST_HEADER:
            signed = header - 0x100 if header >= 0x80 else header
            return signed % (1 << bits)
        is_signed = header >= _FIRST_SIGNED
        size = 1 << (header & 3)
        if 8 * size > bits:
            raise Corrupted(f"{self.what}: integer header {header:#04x} in a field of {bits} bits")
        return int.from_bytes(self.raw(size), "little", signed=is_signed) % (1 << bits)


class Record(ABC):
    """Mixin of every object with a stored form: `write` and `read` handle it within a larger message, `encode` and
    `decode` as a whole file or field."""

    __slots__ = ()

    @abstractmethod
    def write(self, out: Encoder) -> None:
        """Appends the object's fields."""

    @classmethod
    @abstractmethod
    def read(cls, data: Decoder) -> Self:
        """Takes the object's fields; raises Corrupted when they or the object's invariants do not hold."""

    def encode(self) -> bytes:
        out = Encoder()
        self.write(out)
        return out.bytes()

    @classmethod
    def decode(cls, data: bytes | bytearray | memoryview, what: str) -> Self:
        """The object whose form is exactly `data`; raises Corrupted naming `what`."""
        decoder = Decoder(data, what)
        value = cls.read(decoder)
        decoder.finish()
        return value
