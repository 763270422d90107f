"""What the worker does: one task works on one volume. Data; `text` is what stands in the log."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from walbc.library.controller import Controller
from walbc.library.servers import ServerConnectionParam
from walbc.library.sync_options import SyncOpt
from walbc.worker.config import ReplServerConfig


@dataclass(frozen=True)
class Task(ABC):
    """`reason`: why it is due, for people."""

    vol: str
    ax: ServerConnectionParam
    reason: str = field(compare=False)
    is_replication = False

    @property
    @abstractmethod
    def text(self) -> str:
        """As the log shows it."""

    @abstractmethod
    def run(self, controller: Controller) -> None:
        """Does it and waits for its end. Raises what the controller raises."""

    def _text(self, name: str, rest: str) -> str:
        return f"name={name} vol={self.vol} ax={self.ax} {rest}"


@dataclass(frozen=True)
class ApplyTask(Task):
    """Moves the base image to a gid; snapshots before it are gone afterwards."""

    gid: int

    @property
    def text(self) -> str:
        return self._text("apply", f"gid={self.gid}")

    def run(self, controller: Controller) -> None:
        controller.apply(self.ax, self.vol, self.gid)


@dataclass(frozen=True)
class MergeTask(Task):
    """Makes one wdiff of several."""

    gids: tuple[int, int]

    @property
    def text(self) -> str:
        return self._text("merge", f"gid=({self.gids[0]}, {self.gids[1]})")

    def run(self, controller: Controller) -> None:
        controller.merge(self.ax, self.vol, *self.gids)


@dataclass(frozen=True)
class RetentionTask(Task):
    """Makes snapshots implicit that no rule keeps."""

    gids: tuple[int, ...]

    @property
    def text(self) -> str:
        return self._text("retention", f"disable={','.join(map(str, self.gids))}")

    def run(self, controller: Controller) -> None:
        controller.disable_snapshot(self.ax, self.vol, list(self.gids))


@dataclass(frozen=True)
class ReplTask(Task):
    """Brings a destination forward, up to about max_gid (None: to the last explicit snapshot)."""

    server: ReplServerConfig
    max_gid: int | None
    is_replication = True

    @property
    def text(self) -> str:
        name = f"{self.server.name}_{self.server.log_name}" if self.server.log_name else self.server.name
        return self._text("repl", f"dst={name} maxGid={self.max_gid}")

    def run(self, controller: Controller) -> None:
        server = self.server
        options = SyncOpt(server.compress, 0, server.max_merge_size, server.bulk_size)
        destination = server.getServerConnectionParam()
        controller.replicate_once(self.ax, self.vol, destination, syncOpt=options, gid=self.max_gid)
