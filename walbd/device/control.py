"""The control socket's language, sans-IO: one JSON object per line, `{"op": ...}` to the server, `{"ok": ...}` or
`{"error": TEXT, "hint": TEXT, "kind": CLASS}` back (docs/device.md)."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any

from walbd.device.device import DeviceInfo, LsidSet
from walbd.model import error as errors
from walbd.model.error import ProtocolViolation, Refused, WalbError

MAX_LINE_BYTES = 64 << 10
MAX_WAIT_SEC = 3600.0
CONTROL_SUFFIX = ".ctl"
NBD_SUFFIX = ".nbd"
DEFAULT_SOCKET_DIR = "/run/walb"

# Errors that mean the same on both sides; every other one arrives as Refused.
_KINDS: dict[str, type[WalbError]] = {
    kind.__name__: kind
    for kind in (
        errors.AlreadyExists,
        errors.BadState,
        errors.InvalidArgument,
        errors.StorageFailure,
        errors.NotFound,
        errors.Corrupted,
    )
}
Json = dict[str, Any]


def encode_line(value: Json) -> bytes:
    """One line. Raises ProtocolViolation when it would be longer than the cap."""
    line = json.dumps(value, separators=(",", ":")).encode() + b"\n"
    if len(line) > MAX_LINE_BYTES:
        raise ProtocolViolation(f"control line of {len(line)} bytes")
    return line


def decode_line(line: bytes) -> Json:
    """The JSON object of one line. Raises ProtocolViolation for anything else."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ProtocolViolation("control line is not JSON") from error
    if not isinstance(value, dict):
        raise ProtocolViolation("control line is not a JSON object")
    return value


def error_answer(error: WalbError) -> Json:
    """The answer to a request that failed."""
    return {"error": error.message, "hint": error.hint, "kind": type(error).__name__}


def result_of(answer: Json) -> Json:
    """The result in an answer; raises the error in it instead, as the class it had on the other side."""
    if isinstance(answer.get("ok"), dict):
        return dict(answer["ok"])
    if isinstance(answer.get("error"), str):
        kind = _KINDS.get(str(answer.get("kind")), Refused)
        raise kind(answer["error"], str(answer.get("hint", "")))
    raise ProtocolViolation("control answer has neither ok nor error")


def integer(request: Json, key: str, default: int | None = None) -> int:
    """A parameter that must be a whole number of 64 bits, not negative."""
    value = request.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**64:
        raise errors.InvalidArgument(f"control parameter {key} is missing or no 64-bit number")
    return value


def lsids_to_json(lsids: LsidSet) -> Json:
    """By name."""
    return asdict(lsids)


def lsids_from_json(value: object) -> LsidSet:
    """Refuses a set with a missing or bad member."""
    if not isinstance(value, dict):
        raise errors.InvalidArgument("control parameter lsids is missing")
    return LsidSet(**{field.name: integer(value, field.name) for field in fields(LsidSet)})


def info_to_json(info: DeviceInfo) -> Json:
    """By name, the uuid in hex."""
    return {**asdict(info), "uuid": info.uuid.hex()}


def info_from_json(value: Json) -> DeviceInfo:
    """Refuses an object with a missing member."""
    try:
        known = {field.name: value[field.name] for field in fields(DeviceInfo)}
        return DeviceInfo(**{**known, "uuid": bytes.fromhex(value["uuid"])})
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolViolation("control answer is no device information") from error
