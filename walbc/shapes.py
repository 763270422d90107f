"""What the lines of an answer mean, for --json: a shape parses them and describes the value (man walbc-json)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from walbd.model.error import ProtocolViolation

UNSET = ("", "---")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


class Type(NamedTuple):
    """A type of a JSON value and how its text is read; `read` raises ValueError."""

    name: str
    read: Callable[[str], Any]


class Field(NamedTuple):
    """A member of an object. It is left out when the server says nothing about it."""

    name: str
    type: Type
    meaning: str


class Shape(NamedTuple):
    """`value`: what the JSON is, in words; `fields`: of the object, or of each object of the list; `read` raises
    ValueError for lines that are something else."""

    value: str
    read: Callable[[Sequence[str]], Any]
    fields: tuple[Field, ...] = ()


def _time(text: str) -> str | None:
    if text in UNSET:
        return None
    if not _TIME.fullmatch(text):
        raise ValueError
    return text


def _flag(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError
    return text == "1"


TEXT = Type("text", str)
NUMBER = Type("number", int)
SOME_NUMBER = Type("number or null", lambda text: None if text in UNSET else int(text))
REAL = Type("number", float)
FLAG = Type("true or false", _flag)
TIME = Type("time (`YYYY-MM-DDThh:mm:ss`, UTC) or null", _time)


def json_value(shape: str, lines: Sequence[str]) -> Any:
    """The value of an answer. Raises ProtocolViolation when the lines are not what the shape describes."""
    try:
        return SHAPES[shape].read(lines)
    except (ValueError, IndexError, KeyError) as error:
        shown = " ".join(lines)[:80]
        raise ProtocolViolation(f"the answer is no {SHAPES[shape].value}: {shown}") from error


def objects(fields: Sequence[Field], pairs: Mapping[str, str]) -> dict[str, Any]:
    """An object of texts by name; what has no field stays a text."""
    types = {field.name: field.type for field in fields}
    return {name: types.get(name, TEXT).read(text) for name, text in pairs.items()}


def _one(type: Type) -> Callable[[Sequence[str]], Any]:
    def read(lines: Sequence[str]) -> Any:
        (line,) = lines
        return type.read(line)

    return read


def _each(type: Type) -> Callable[[Sequence[str]], Any]:
    return lambda lines: [type.read(line) for line in lines]


def _ltsv(line: str) -> dict[str, str]:
    """`name:value` separated by tabs."""
    pairs = dict(part.partition(":")[::2] for part in line.split("\t"))
    if ":" not in line:
        raise ValueError
    return pairs


def _records(value: str, *fields: Field) -> Shape:
    return Shape(value, lambda lines: [objects(fields, _ltsv(line)) for line in lines], fields)


def _record(value: str, *fields: Field) -> Shape:
    def read(lines: Sequence[str]) -> Any:
        (line,) = lines
        return objects(fields, _ltsv(line))

    return Shape(value, read, fields)


def _matched(value: str, pattern: str, *fields: Field) -> Shape:
    """A list; each line is a match whose groups are the fields."""
    expression = re.compile(pattern)

    def read_line(line: str) -> dict[str, Any]:
        match = expression.fullmatch(line)
        if not match:
            raise ValueError
        return {field.name: field.type.read(text) for field, text in zip(fields, match.groups(), strict=True)}

    return Shape(value, lambda lines: [read_line(line) for line in lines], fields)


_LETTER = Type("true or false", lambda text: text != "-")
_NAME = Field("name", TEXT, "the volume")
_ACTION = re.compile(r" (\S+) (\d+) (\S+)")


def _all_actions(lines: Sequence[str]) -> Any:
    found = []
    for line in lines:
        name, _, rest = line.partition(" ")
        actions = {action: {"count": int(n), "lastBegin": _time(t)} for action, n, t in _ACTION.findall(f" {rest}")}
        if not actions:
            raise ValueError
        found.append({"name": name, "actions": actions})
    return found


_STATISTICS = {
    "PROTOCOL_COUNT": (("command", TEXT), ("client", TEXT), ("count", NUMBER)),
    "PROTOCOL_LATENCY": (("command", TEXT), ("meanSec", REAL)),
    "GET_COUNT": (("target", TEXT), ("client", TEXT), ("count", NUMBER)),
}


def _handler_stat(lines: Sequence[str]) -> Any:
    found: dict[str, list[Any]] = {name: [] for name in _STATISTICS}
    for line in lines:
        kind, *values = line.split("\t")
        names = _STATISTICS[kind]
        found[kind].append({name: type.read(text) for (name, type), text in zip(names, values, strict=True)})
    return {"requests": found["PROTOCOL_COUNT"], "latencies": found["PROTOCOL_LATENCY"], "gets": found["GET_COUNT"]}


def _estimate(lines: Sequence[str]) -> Any:
    """Null where the event is not to be expected."""
    (text,) = lines
    return None if text == "never" else int(text)


def _archive_info(lines: Sequence[str]) -> Any:
    (line,) = lines
    address, compression, delay = line.split(" ")
    return {"address": address, "compression": compression, "delaySec": int(delay)}


def _status(lines: Sequence[str]) -> Any:
    from walbc.status_shape import read_status

    return read_status(lines)


_WORK = (
    _NAME,
    Field("kind", TEXT, "what is done: full-bkp, restore, apply, ..."),
    Field("begin", TIME, "when it began"),
    Field("end", TIME, "when it ended; null while it runs"),
    Field("done", NUMBER, "how far it has come, in `unit`"),
    Field("total", NUMBER, "where it ends, 0 when that is not known"),
    Field("unit", TEXT, "`bytes` or what else is counted"),
    Field("phase", TEXT, "the present step, often empty"),
    Field("result", TEXT, "`running`, `succeeded`, or why it failed"),
)

SHAPES = {
    "number": Shape("number", _one(NUMBER)),
    "flag": Shape("true or false", _one(FLAG)),
    "estimate": Shape("number or null", _estimate),
    "text": Shape("text", _one(TEXT)),
    "disk-space": _record(
        "object",
        Field("free_bytes", NUMBER, "room that is left"),
        Field("total_bytes", NUMBER, "size of the file system"),
        Field("reserve_bytes", NUMBER, "never taken by logs"),
        Field("alarm", FLAG, "room is low"),
    ),
    "texts": Shape("list of texts", _each(TEXT)),
    "numbers": Shape("list of numbers", _each(NUMBER)),
    "diffs": _matched(
        "list of diffs",
        r"(\S+)-->(\S+) ([M-])([C-]) (\S+) (\d+)",
        Field("begin", TEXT, "snapshot the diff begins at: `|GID|`, or `|GID,GID|` when dirty"),
        Field("end", TEXT, "snapshot it leads to"),
        Field("isMergeable", _LETTER, "the snapshot at its begin is implicit"),
        Field("isCompare", _LETTER, "made by comparison (hash backup)"),
        Field("time", TIME, "when its last write happened"),
        Field("bytes", NUMBER, "size of its file"),
    ),
    "restorable": _matched(
        "list of snapshots",
        r"(\d+) (\S+) ([01])",
        Field("gid", NUMBER, "what restore takes"),
        Field("time", TIME, "of the snapshot"),
        Field("isExplicit", FLAG, "kept when diffs are merged"),
    ),
    "snapshots": _records(
        "list of the latest snapshots",
        _NAME,
        Field("kind", TEXT, "storage, proxy or archive"),
        Field("archive", TEXT, "destination (of a proxy only)"),
        Field("gid", SOME_NUMBER, "of the snapshot"),
        Field("lsid", NUMBER, "position in the log (of a storage only)"),
        Field("timestamp", TIME, "of the snapshot"),
    ),
    "log-usage": _records(
        "list of log devices",
        _NAME,
        Field("usage_pb", NUMBER, "blocks in use"),
        Field("capacity_pb", NUMBER, "blocks there are"),
        Field("pbs", NUMBER, "bytes of a block"),
    ),
    "deltas": _records(
        "list of copies",
        _NAME,
        Field("dest", TEXT, "the other server"),
        Field("kind", TEXT, "of the server asked"),
        Field("dest_kind", TEXT, "of the other server"),
        Field("gid", SOME_NUMBER, "latest snapshot here"),
        Field("ts", TIME, "its time"),
        Field("dest_gid", SOME_NUMBER, "latest snapshot there"),
        Field("dest_ts", TIME, "its time"),
        Field("ts_delta", SOME_NUMBER, "seconds between the two times"),
    ),
    "bases": _records("list of base images", _NAME, Field("metastate", TEXT, "as `get base` prints it")),
    "works": _records("list of work", *_WORK),
    "actions": Shape(
        "list of volumes",
        _all_actions,
        (_NAME, Field("actions", Type("object", str), "by name of the action: `count` running, `lastBegin` a time")),
    ),
    "statistics": Shape(
        "object",
        _handler_stat,
        (
            Field("requests", Type("list", str), "`command`, `client`, `count`"),
            Field("latencies", Type("list", str), "`command`, `meanSec`"),
            Field("gets", Type("list", str), "`target`, `client`, `count`"),
        ),
    ),
    "version": _record(
        "object",
        Field("version", TEXT, "of the program"),
        Field("build_date", TEXT, "when it was built"),
        Field("log_version", NUMBER, "of the log's format"),
    ),
    "destination": Shape(
        "object",
        _archive_info,
        (
            Field("address", TEXT, "`HOST:PORT` of the archive"),
            Field("compression", TEXT, "`TYPE:LEVEL:CPUS`"),
            Field("delaySec", NUMBER, "how long diffs wait before they are sent"),
        ),
    ),
    "status": Shape("object", _status),
}
