"""`status` as an object (servers.md section 6): lines of `key value`, and sections of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from walbc.shapes import FLAG, NUMBER, TEXT, TIME, Field, Type, objects

_SECTION = re.compile(r"-----([A-Za-z]+)( \d+)?-----")
_GLOBAL = "Global"
_NO_BASE = " baseLv NOT FOUND"


def _named(type: Type, **meanings: str) -> tuple[Field, ...]:
    return tuple(Field(name, type, meaning) for name, meaning in meanings.items())


SETTINGS = (
    *_named(TEXT, nodeId="its name", baseDir="its base directory", keepAlive="`OFF` or the periods"),
    *_named(TEXT, volumeGroup="of an archive on LVM", thinpool="of an archive on a thin pool"),
    *_named(
        NUMBER,
        maxWlogSendMb="most log sent in one transfer",
        maxWdiffSendMb="most diff data sent in one transfer",
        minDelaySecForRetry="before the first repetition",
        maxDelaySecForRetry="before later repetitions",
        retryTimeout="after so many seconds a failure counts as an error",
        maxConnections="served at once",
        maxForegroundTasks="backups, restores, ... at once",
        maxBackgroundTasks="transfers at once",
        socketTimeout="seconds",
        fullScanLbPerSec="limit of full backups in blocks, 0 for none",
    ),
    *_named(FLAG, doAutoResize="images grow with their volumes", keepOneColdSnapshot="of each volume"),
)
PROXY_STATE = (
    Field("host", TEXT, "HOST:PORT:PORT"),
    Field("isAvailable", FLAG, "it answered when last asked"),
    Field("timeToNextCheck", NUMBER, "seconds"),
)
QUEUED = (
    Field("volume", TEXT, "the volume"),
    Field("archive", TEXT, "the destination (of a proxy only)"),
    Field("timeDiffMs", NUMBER, "milliseconds until it is due, negative when overdue"),
)
RECORD = (
    Field("timestamp", TIME, "when it was made"),
    Field("isMergeable", FLAG, "the snapshot is implicit"),
    Field("lsid", NUMBER, "position in the log"),
    Field("gid", NUMBER, "of the snapshot"),
)
QUEUE = (
    Field("archive", TEXT, "name of the destination"),
    Field("host", TEXT, "HOST:PORT (of one volume only)"),
    Field("compression", TEXT, "TYPE:LEVEL:CPUS (of one volume only)"),
    Field("wdiffSendDelay", NUMBER, "seconds (of one volume only)"),
    Field("action", TEXT, "None or WdiffSend"),
    Field("numDiff", NUMBER, "diffs that wait"),
    Field("totalSize", TEXT, "of them (of the whole server only)"),
    Field("minGid", NUMBER, "of them (of the whole server only)"),
    Field("maxGid", NUMBER, "of them (of the whole server only)"),
    Field("lastWdiffSentTime", TIME, "of the last diff sent"),
    Field("isWdiffSendError", FLAG, "sending has failed (of one volume only)"),
    Field("wdiffTotalSize", NUMBER, "bytes of the diffs that wait (of one volume only)"),
    Field("wdiffSendDelayMeasured", NUMBER, "seconds the oldest diff waits (of one volume only)"),
)
VOLUME = (
    *_named(TEXT, volume="the volume", state="its state", reason="why it cannot be served, when it cannot"),
    *_named(
        NUMBER,
        logUsagePb="blocks of log in use",
        logCapacityPb="blocks of log there are",
        oldestGid="of the log that is kept",
        latestGid="of the newest snapshot",
        oldestLsid="of the log that is kept",
        permanentLsid="up to which the log is durable",
        totalNumAction="running actions",
        numDiff="diffs",
        sizeLb="size in blocks of 512 bytes",
        pbs="bytes of a block of log",
        progressLb="blocks received by a running full copy",
        numCold="cold snapshots",
        numRestored="restored volumes",
        numRestorable="explicit restorable snapshots",
        numRestorableAll="restorable snapshots",
        wdiffTotalSize="bytes of the diffs",
    ),
    *_named(
        TIME,
        lastSyncTime="end of the last full copy since the server started",
        lastWdiffReceivedTime="since the server started",
        lastWlogReceivedTime="since the server started",
        timestamp="when the last log was received",
    ),
    *_named(FLAG, isUnderMonitoring="new log is watched for", isOverflow="the log has overflowed"),
    *_named(
        TEXT,
        stopState="NotStopping or how it is being stopped",
        size="with the largest unit that divides it",
        totalSize="of the diffs, with the largest unit that divides it",
        wdevPath="the walb device",
        uuid="of the log",
        archiveUuid="of the archive's copy",
        salt="of the log, hexadecimal",
        base="state of the base image",
        latest="latest snapshot",
        latestSnapshot="latest snapshot",
        fullReplState="of a replication that was cut short, or None",
    ),
)
_VOLUME_KEYS = {field.name for field in VOLUME}


def read_status(lines: Sequence[str]) -> dict[str, Any]:
    """The object; raises ValueError."""
    sections = _sections(lines)
    head = sections.pop("", [])
    return _volume(head, sections) if head else _server(sections)


def _sections(lines: Sequence[str]) -> dict[str, list[str]]:
    """Lines by the name of their section; those before the first are of ''."""
    found: dict[str, list[str]] = {}
    current = found.setdefault("", [])
    for line in lines:
        if match := _SECTION.fullmatch(line):
            current = found.setdefault(match[1], [])
        else:
            current.append(line)
    return found


def _server(sections: dict[str, list[str]]) -> dict[str, Any]:
    (title,) = [name for name in sections if name.endswith(_GLOBAL)]
    found: dict[str, Any] = {
        "kind": title.removesuffix(_GLOBAL).lower(),
        "settings": objects(SETTINGS, _pairs(sections[title])),
    }
    if "Archive" in sections:
        found["archive"] = _pairs(sections["Archive"])["host"]
    if "Proxy" in sections:
        found["proxies"] = [objects(PROXY_STATE, _alternating(line.split())) for line in sections["Proxy"]]
    if "TaskQueue" in sections:
        found["taskQueue"] = [objects(QUEUED, _alternating(line.split())) for line in sections["TaskQueue"]]
    found["volumes"] = []
    for line in sections["Volume"]:
        if line.startswith("  "):
            found["volumes"][-1].setdefault("archives", []).append(_queue_line(line))
        else:
            found["volumes"].append(_volume_line(line))
    return found


def _volume_line(line: str) -> dict[str, Any]:
    words = line.removesuffix(_NO_BASE).split()
    pairs = _alternating(words[:4])
    if len(words) > 4 and words[4] not in _VOLUME_KEYS:
        pairs["reason"] = line.split(" ", 4)[4]
    else:
        pairs |= _alternating(words[4:])
    return objects(VOLUME, pairs)


def _queue_line(line: str) -> dict[str, Any]:
    *words, last_sent = line.split()
    return objects(QUEUE, {**_alternating(words), "lastWdiffSentTime": last_sent})


def _volume(head: list[str], sections: dict[str, list[str]]) -> dict[str, Any]:
    pairs = _pairs([line for line in head if not line.endswith(_NO_BASE.lstrip())])
    kind = pairs.pop("hostType")
    actions = pairs.pop("action", "")
    for spelling, name in (("volId", "volume"), ("failure", "reason"), ("device", "reason")):
        if spelling in pairs:
            pairs[name] = pairs.pop(spelling)
    found = {"kind": kind, **objects(VOLUME, pairs)}
    if actions:
        found["actions"] = {name: int(count) for name, count in _alternating(actions.split()).items()}
    for title, name in (("DoneFile", "done"), ("QueueFile", "queue")):
        if title in sections:
            records = [objects(RECORD, _alternating(line.split()[1:])) for line in sections[title]]
            found[name] = records[0] if title == "DoneFile" else records
    if "Archive" in sections:
        found["archives"] = _queues(sections["Archive"])
    return found


def _queues(lines: list[str]) -> list[dict[str, Any]]:
    """Each begins with the line `archive NAME`."""
    blocks: list[list[str]] = []
    for line in map(str.strip, lines):
        if line.startswith("archive "):
            blocks.append([])
        blocks[-1].append(line)
    return [objects(QUEUE, _pairs(block)) for block in blocks]


def _pairs(lines: Sequence[str]) -> dict[str, str]:
    """`key value` lines."""
    return dict(line.partition(" ")[::2] for line in lines)


def _alternating(words: Sequence[str]) -> dict[str, str]:
    """Keys and values in turn."""
    return dict(zip(words[::2], words[1::2], strict=True))
