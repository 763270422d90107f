"""Payloads of the frames every conversation has; those of one conversation lie in its module."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from walbd.model.error import InvalidArgument, WalbError
from walbd.model.limits import check_node_id, check_range
from walbd.model.varint import Decoder, Encoder, Record

MAX_VERSION = 0xFFFF
MAX_METHODS = 16
MAX_WORD = 64
MAX_PARAMS = 256
MAX_RESULT_LINES = 1 << 20
MAX_ERROR_CHARS = 4096
_MAX_UNIT = 16


class PeerKind(StrEnum):
    """Kinds of programs."""

    CONTROL = "walbc"
    STORAGE = "storage"
    PROXY = "proxy"
    ARCHIVE = "archive"


def check_word(what: str, word: str) -> str:
    """Returns a command's or method's name: 1 to 64 of printable ASCII without spaces; raises InvalidArgument."""
    if not (0 < len(word) <= MAX_WORD and word.isascii() and word.isprintable() and " " not in word):
        raise InvalidArgument(f"bad {what}:{word[:80]}")
    return word


@dataclass(frozen=True, slots=True)
class Hello(Record):
    """First frame of a client. Its layout is the same in every version of the protocol."""

    version_min: int
    version_max: int
    node_id: str
    kind: str
    command: str
    methods: tuple[str, ...]

    def __post_init__(self) -> None:
        check_range("protocol version", self.version_min, 1, MAX_VERSION)
        check_range("protocol version", self.version_max, self.version_min, MAX_VERSION)
        check_node_id(self.node_id)
        check_word("kind of program", self.kind)
        check_word("command", self.command)
        check_range("number of authentication methods", len(self.methods), 1, MAX_METHODS)
        for method in self.methods:
            check_word("authentication method", method)

    def write(self, out: Encoder) -> None:
        out.varint(self.version_min).varint(self.version_max)
        out.string(self.node_id).string(self.kind).string(self.command).list_of_strings(self.methods)

    @classmethod
    def read(cls, data: Decoder) -> Self:
        low, high, node_id, kind, command = data.varint(), data.varint(), data.string(), data.string(), data.string()
        return data.build(cls, low, high, node_id, kind, command, tuple(data.list_of_strings(MAX_METHODS)))


@dataclass(frozen=True, slots=True)
class Welcome(Record):
    """The server's answer: what was chosen. Its layout is the same in every version of the protocol."""

    version: int
    node_id: str
    kind: str
    method: str

    def __post_init__(self) -> None:
        check_range("protocol version", self.version, 1, MAX_VERSION)
        check_node_id(self.node_id)
        check_word("kind of program", self.kind)
        check_word("authentication method", self.method)

    def write(self, out: Encoder) -> None:
        out.varint(self.version).string(self.node_id).string(self.kind).string(self.method)

    @classmethod
    def read(cls, data: Decoder) -> Self:
        return data.build(cls, data.varint(), data.string(), data.string(), data.string())


@dataclass(frozen=True, slots=True)
class ErrorText(Record):
    """Why the sender of it ends the conversation."""

    message: str
    hint: str = ""

    @classmethod
    def of(cls, error: BaseException) -> Self:
        """The text for the peer; of an unexpected exception only its kind, the rest is for our log."""
        if isinstance(error, WalbError):
            return cls(error.message[:MAX_ERROR_CHARS], error.hint[:MAX_ERROR_CHARS])
        return cls(f"internal error: {type(error).__name__}", "see the server's log")

    def write(self, out: Encoder) -> None:
        out.string(self.message).string(self.hint)

    @classmethod
    def read(cls, data: Decoder) -> Self:
        return cls(data.string(), data.string())


@dataclass(frozen=True, slots=True)
class Params(Record):
    """A control command's parameters; `wait`: tell the outcome of the work, not only its start."""

    params: tuple[str, ...]
    wait: bool

    def write(self, out: Encoder) -> None:
        out.bool(self.wait).list_of_strings(self.params)

    @classmethod
    def read(cls, data: Decoder) -> Self:
        wait = data.bool()
        return cls(tuple(data.list_of_strings(MAX_PARAMS)), wait)


@dataclass(frozen=True, slots=True)
class Result(Record):
    """The strings a control command answers with."""

    strings: tuple[str, ...]

    def write(self, out: Encoder) -> None:
        out.list_of_strings(self.strings)

    @classmethod
    def read(cls, data: Decoder) -> Self:
        return cls(tuple(data.list_of_strings(MAX_RESULT_LINES)))


@dataclass(frozen=True, slots=True)
class Progress(Record):
    """How far accepted work has come: `done` of `total` (0: not known) in `unit`; `phase` names the present step."""

    done: int
    total: int
    unit: str
    phase: str

    def __post_init__(self) -> None:
        if len(self.unit) > _MAX_UNIT or len(self.phase) > MAX_WORD:
            raise InvalidArgument(f"bad progress:{self.unit[:80]}:{self.phase[:80]}")

    def write(self, out: Encoder) -> None:
        out.varint(self.done).varint(self.total).string(self.unit).string(self.phase)

    @classmethod
    def read(cls, data: Decoder) -> Self:
        return data.build(cls, data.varint(), data.varint(), data.string(), data.string())
