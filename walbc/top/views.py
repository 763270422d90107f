"""What the screen is made of: a server, its volumes, their queues and the work that runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QueueView:
    """The diffs at a proxy that wait for an archive. `waits_sec`: how long the oldest does."""

    archive: str
    num_diff: int
    size_bytes: int
    waits_sec: int
    is_error: bool
    last_failure: str = ""


@dataclass(frozen=True, slots=True)
class VolumeView:
    """A volume at one server. `reason`: why it cannot be served; `last_failure`: of sending. `gid` and `time_sec`: of
    its latest snapshot there; None where there is none."""

    name: str
    state: str
    reason: str = ""
    last_failure: str = ""
    stop_state: str = ""
    gid: int | None = None
    time_sec: int | None = None
    log_used_pb: int | None = None
    log_capacity_pb: int = 0
    is_overflow: bool = False
    overflow_sec: float | None = None
    num_diff: int | None = None
    queues: tuple[QueueView, ...] = ()

    @property
    def log_share(self) -> float | None:
        """Of the log device in use, 0 to 1."""
        return (
            self.log_used_pb / self.log_capacity_pb if self.log_used_pb is not None and self.log_capacity_pb else None
        )


@dataclass(frozen=True, slots=True)
class WorkView:
    """Work that runs, or (with a reason) that failed when it was last tried."""

    kind: str
    volume: str
    done: int = 0
    total: int = 0
    unit: str = ""
    phase: str = ""
    failure: str = ""


@dataclass(frozen=True, slots=True)
class ServerView:
    """A server as it answered last; `error`: why it did not. `low_disk`: how much room there is, when it is little. One
    without a kind and an error has not been heard of yet."""

    name: str
    address: str
    kind: str = ""
    error: str = ""
    volumes: tuple[VolumeView, ...] = ()
    works: tuple[WorkView, ...] = ()
    failures: tuple[WorkView, ...] = ()
    missing_peers: tuple[str, ...] = ()
    low_disk: str = ""
