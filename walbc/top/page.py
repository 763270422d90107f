"""The page as text: a pure function of what is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import NamedTuple

from walbc.top.views import ServerView, VolumeView, WorkView
from walbd.model.error import one_line
from walbd.world.progress import format_amount, format_duration

MAX_LOG_SHARE = 0.8
MIN_OVERFLOW_SEC = 3600
# A log with less in use has room for a burst, however fast it comes.
MIN_LOG_SHARE = 0.3
MAX_LAG_SEC = 600
_BAR = 10
_GAP = "  "


class Style(Enum):
    """How a line looks."""

    PLAIN = 0
    TITLE = 1
    ALARM = 2


class Line(NamedTuple):
    """A line of the page."""

    text: str
    style: Style = Style.PLAIN


def page(servers: Sequence[ServerView], now: str, columns: int) -> list[Line]:
    """Everything there is to show at the time `now`, each line at most `columns` wide."""
    alarms = list(_alarms(servers))
    volumes = {volume.name for server in servers for volume in server.volumes}
    counts = (_count(len(servers), "server"), _count(len(volumes), "volume"), _count(len(alarms), "alarm"))
    lines = [Line(_GAP.join(["walbc top", now, *counts]))]
    lines += [Line("")] * bool(alarms) + [Line(f"ALARM{_GAP}{text}", Style.ALARM) for text in alarms]
    lines += _table("SERVER KIND ADDRESS VOLUMES WORK", [_server_row(server) for server in servers])
    lines += _table("VOLUME SERVER STATE LOG OVERFLOW_IN DIFFS QUEUED GID LAG", list(_volume_rows(servers)))
    works = [_work_row(server.name, work) for server in servers for work in server.works]
    lines += _table("WORK SERVER VOLUME PROGRESS", works) if works else []
    return [Line(one_line(line.text)[:columns].rstrip(), line.style) for line in lines]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _table(titles: str, rows: Sequence[Sequence[str]]) -> list[Line]:
    head = [title.replace("_", " ") for title in titles.split()]
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    texts = [_GAP.join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) for row in [head, *rows]]
    return [Line(""), Line(texts[0], Style.TITLE), *map(Line, texts[1:])]


def _server_row(server: ServerView) -> list[str]:
    if server.error or not server.kind:
        return [server.name, server.kind or "?", server.address, "?", "?"]
    return [server.name, server.kind, server.address, str(len(server.volumes)), str(len(server.works))]


def _volume_rows(servers: Sequence[ServerView]) -> Iterator[list[str]]:
    """By volume, in the order data takes: storage, proxy, archive."""
    order = {"storage": 0, "proxy": 1, "archive": 2}
    pairs = [(volume, server) for server in servers for volume in server.volumes]
    lags = _lags(servers)
    for volume, server in sorted(pairs, key=lambda pair: (pair[0].name, order.get(pair[1].kind, 3), pair[1].name)):
        state = f"{volume.state} ({volume.stop_state})" if volume.stop_state else volume.state
        lag = lags.get((server.name, volume.name))
        yield [
            volume.name,
            server.name,
            state,
            _log(volume),
            "" if volume.overflow_sec is None else format_duration(volume.overflow_sec),
            "" if volume.num_diff is None else str(volume.num_diff),
            " ".join(f"{queue.archive}:{queue.num_diff}" for queue in volume.queues),
            "" if volume.gid is None else str(volume.gid),
            "" if lag is None else format_duration(lag),
        ]


def _log(volume: VolumeView) -> str:
    if volume.log_share is None:
        return ""
    full = min(_BAR, round(_BAR * volume.log_share))
    return f"[{'#' * full}{'-' * (_BAR - full)}] {volume.log_share:4.0%}"


def _work_row(server: str, work: WorkView) -> list[str]:
    amount = format_amount(work.done, work.unit)
    if work.total:
        full = min(_BAR, _BAR * work.done // work.total)
        share = min(100, 100 * work.done // work.total)
        amount = f"[{'#' * full}{'-' * (_BAR - full)}] {share}% {amount}/{format_amount(work.total, work.unit)}"
    return [work.kind, server, work.volume, f"{amount} {work.phase}".rstrip()]


def _lags(servers: Sequence[ServerView]) -> Mapping[tuple[str, str], int]:
    """Seconds by which the latest snapshot of an archive is older than that of the volume's storage."""
    at_storage = {
        volume.name: volume.time_sec
        for server in servers
        for volume in server.volumes
        if server.kind == "storage" and volume.time_sec is not None
    }
    return {
        (server.name, volume.name): max(0, at_storage[volume.name] - volume.time_sec)
        for server in servers
        for volume in server.volumes
        if server.kind == "archive" and volume.time_sec is not None and volume.name in at_storage
    }


def _alarms(servers: Sequence[ServerView]) -> Iterator[str]:
    """What somebody should look at, the worst first."""
    yield from (f"{server.name}: {server.error}" for server in servers if server.error)
    for server in servers:
        for volume in server.volumes:
            yield from (f"{server.name} {volume.name}: {text}" for text in _volume_alarms(volume))
    for (server_name, volume_name), lag in _lags(servers).items():
        if lag > MAX_LAG_SEC:
            yield f"{server_name} {volume_name}: {format_duration(lag)} behind the storage"
    yield from (f"{server.name}: look at the disk: {server.low_disk}" for server in servers if server.low_disk)
    for server in servers:
        yield from (f"{server.name}: proxy {peer} does not answer it" for peer in server.missing_peers)
        yield from (f"{server.name} {work.volume}: {work.kind} failed: {work.failure}" for work in server.failures)


def _overflows_in(volume: VolumeView) -> float | None:
    """Seconds, when somebody should do something about it."""
    has_room = volume.log_share is not None and volume.log_share < MIN_LOG_SHARE
    is_soon = volume.overflow_sec is not None and volume.overflow_sec < MIN_OVERFLOW_SEC
    return volume.overflow_sec if is_soon and not has_room else None


def _volume_alarms(volume: VolumeView) -> Iterator[str]:
    if volume.reason:
        yield volume.reason
    if volume.last_failure:
        yield f"sending log has failed: {volume.last_failure}"
    if volume.is_overflow:
        yield "the log has overflowed; stop, reset-vol and hash-bkp at the storage bring the volume back"
    elif (left_sec := _overflows_in(volume)) is not None:
        yield f"the log overflows in {format_duration(left_sec)}"
    elif volume.log_share is not None and volume.log_share > MAX_LOG_SHARE:
        yield f"{volume.log_share:.0%} of the log is in use"
    for queue in volume.queues:
        if queue.is_error or queue.last_failure:
            reason = f": {queue.last_failure}" if queue.last_failure else ""
            waiting = f"{_count(queue.num_diff, 'diff')} ({format_amount(queue.size_bytes, 'bytes')}) wait"
            yield f"sending to {queue.archive} has failed{reason}; {waiting} for {format_duration(queue.waits_sec)}"
