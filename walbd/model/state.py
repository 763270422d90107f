"""What a base image holds (snapshot-model.md sections 1, 3, 4)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Self

from walbd.model.error import InvalidArgument
from walbd.model.snapshot import INVALID_GID, SNAPSHOT_PATTERN, Snapshot
from walbd.model.timetext import check_timestamp, digits, parse_digits
from walbd.model.varint import Decoder, Encoder, Record

_PREAMBLE = 0x0313
_TEXT = re.compile(rf"<{SNAPSHOT_PATTERN}(?:-->{SNAPSHOT_PATTERN})?>(?:-([0-9]{{14}}))?")


@dataclass(frozen=True, slots=True)
class MetaState(Record):
    """A base image holds snapshot_begin, or (applying: snapshot_end is not None) a mixture on the way to snapshot_end.

    timestamp: UNIX time of the snapshot, when applying of the one aimed at; no part of the identity.
    """

    snapshot_begin: Snapshot
    snapshot_end: Snapshot | None = None
    timestamp: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        end = self.snapshot_end
        if end is not None and self.snapshot_begin.gid_begin >= end.gid_begin:
            raise InvalidArgument(f"MetaState::broken progress constraint:{self}")
        check_timestamp(self.timestamp)

    @property
    def is_applying(self) -> bool:
        return self.snapshot_end is not None

    def __str__(self) -> str:
        end = self.snapshot_end
        return f"<{self.snapshot_begin}>" if end is None else f"<{self.snapshot_begin}-->{end}>"

    @property
    def text_with_time(self) -> str:
        """`<|5|>-20231114221320`."""
        return f"{self}-{digits(self.timestamp)}"

    @classmethod
    def parse(cls, text: str, now: int) -> Self:
        """The state of `<|5|>` or `<|0,5|-->|10|>`, at time `now` unless `-YYYYMMDDhhmmss` follows; raises
        InvalidArgument."""
        match = _TEXT.fullmatch(text)
        if not match:
            raise InvalidArgument(f"bad state:{text[:120]}", "write <|GID|>-YYYYMMDDhhmmss or <|GID|-->|GID|>-...")
        begin = Snapshot.of_match(match[1], match[2])
        end = Snapshot.of_match(match[3], match[4]) if match[3] else None
        return cls(begin, end, parse_digits(match[5]) if match[5] else now)

    def write(self, out: Encoder) -> None:
        out.u16(_PREAMBLE).bool(self.is_applying).varint(self.timestamp)
        self.snapshot_begin.write(out)
        # A state that is not applying stores a copy of its begin (K4).
        (self.snapshot_end or self.snapshot_begin).write(out)

    @classmethod
    def read(cls, data: Decoder) -> Self:
        data.preamble(_PREAMBLE)
        is_applying, timestamp = data.bool(), data.varint()
        begin, end = Snapshot.read(data), Snapshot.read(data)
        return data.build(cls, begin, end if is_applying else None, timestamp)


# What a volume's base file holds before its first backup.
NO_BASE = MetaState(Snapshot.clean(INVALID_GID))
