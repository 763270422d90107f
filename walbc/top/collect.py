"""Asks one server for all the screen shows of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from walbc.commands import COMMANDS
from walbc.shapes import json_value
from walbc.top.views import QueueView, ServerView, VolumeView, WorkView
from walbd.model.error import Refused, WalbError
from walbd.model.size import parse_size
from walbd.model.timetext import parse_pretty

Ask = Callable[..., Sequence[str]]
"""ask(COMMAND, PARAMETER, ...) returns the lines of the answer; raises WalbError."""

_ALARM = " alarm 1"
_TOLD = ("wlog-transfer", "wdiff-transfer", "bhash", "virt-full-scan")
_FORCE_STOPPED = "force stopped:"


def ask_server(name: str, address: str, ask: Ask) -> ServerView:
    """The view of a server; a server that does not answer, or nonsense, is one with an error."""
    try:
        return _Asked(ask).view(name, address)
    except WalbError as error:
        return ServerView(name, address, error=str(error))
    except (LookupError, TypeError, ValueError):
        return ServerView(name, address, error="it answers what cannot be understood")


class _Asked:
    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def view(self, name: str, address: str) -> ServerView:
        status = json_value("status", self._ask("status"))
        works = json_value("works", self._ask("get", "tasks"))
        snapshots = json_value("snapshots", self._ask("get", "latest-snap"))
        latest = {item["name"]: item for item in snapshots if "archive" not in item}
        down = tuple(peer["host"].rpartition(":")[0] for peer in status.get("proxies", []) if not peer["isAvailable"])
        disk_space = status["settings"].get("diskSpace", "")
        running = [_work(work) for work in works if work["end"] is None]
        return ServerView(
            name,
            address,
            status["kind"],
            volumes=tuple(self._volume(status["kind"], item, latest.get(item["volume"])) for item in status["volumes"]),
            works=tuple(running),
            failures=tuple(_failed(works)),
            missing_peers=down,
            low_disk=disk_space.removesuffix(_ALARM) if disk_space.endswith(_ALARM) else "",
        )

    def _volume(self, kind: str, item: dict[str, Any], latest: dict[str, Any] | None) -> VolumeView:
        name = item["volume"]
        is_storage = kind == "storage" and "reason" not in item
        stop_state = item.get("stopState", "")
        return VolumeView(
            name,
            item["state"],
            item.get("reason", ""),
            item.get("lastFailure", ""),
            "" if stop_state == "NotStopping" else stop_state,
            gid=latest.get("gid") if latest else None,
            time_sec=parse_pretty(latest["timestamp"]) if latest and latest.get("timestamp") else None,
            log_used_pb=item.get("logUsagePb"),
            log_capacity_pb=item.get("logCapacityPb", 0),
            is_overflow=is_storage and bool(self._one("is-overflow", name)),
            overflow_sec=self._one("overflow-eta", name) if is_storage else None,
            num_diff=item.get("numDiff"),
            queues=self._queues(item, name) if kind == "proxy" else (),
        )

    def _one(self, target: str, volume: str) -> Any:
        """A value of one volume; None when the server has no such target or the volume has just gone."""
        forms = COMMANDS["get"].forms
        assert forms
        try:
            return json_value(forms.rows[target].shape, self._ask("get", target, volume))
        except Refused:
            return None

    def _queues(self, item: dict[str, Any], volume: str) -> tuple[QueueView, ...]:
        try:
            details = json_value("status", self._ask("status", volume)).get("archives", [])
        except Refused:
            details = item.get("archives", [])
        return tuple(map(_queue, details))


def _queue(item: dict[str, Any]) -> QueueView:
    size_bytes = item["wdiffTotalSize"] if "wdiffTotalSize" in item else parse_size(item.get("totalSize", "0"))
    is_error = item.get("isWdiffSendError", False)
    waits_sec, last_failure = item.get("wdiffSendDelayMeasured", 0), item.get("lastFailure", "")
    return QueueView(item["archive"], item["numDiff"], size_bytes, waits_sec, is_error, last_failure)


def _work(item: dict[str, Any]) -> WorkView:
    is_running = item["end"] is None
    failure = "" if is_running or item["result"] == "succeeded" else item["result"]
    return WorkView(
        item["kind"], item["name"], item["done"], item["total"], item["unit"], item.get("phase", ""), failure
    )


def _failed(works: list[dict[str, Any]]) -> list[WorkView]:
    """What failed when it was last tried; works that ended are listed newest first. What an operator has ended is no
    failure; transfers are repeated by their sender, who tells when they fail, and scans fail before a user's eyes."""
    last: dict[tuple[str, str], WorkView] = {}
    for item in works:
        if item["kind"] not in _TOLD:
            last.setdefault((item["name"], item["kind"]), _work(item))
    return [work for work in last.values() if work.failure and not work.failure.startswith(_FORCE_STOPPED)]
