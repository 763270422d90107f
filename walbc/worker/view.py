"""What the worker knows of its archive and the destinations when it plans."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from functools import cache
from typing import Protocol

from walbc.library.constants import K_ARCHIVE
from walbc.library.controller import Controller
from walbc.library.servers import ServerConnectionParam, ServerLayout
from walbc.library.states import aActive
from walbc.library.texts import utc_now
from walbc.library.values import Diff, MetaState
from walbc.worker.config import Config, ReplServerConfig
from walbc.worker.retention import Restorable

LastBegins = Mapping[str, datetime.datetime | None]
ARCHIVE_NAME = "a0"


class View(Protocol):
    """Answers about one moment; asked only for what the plan depends on. Times are UTC."""

    @property
    def now(self) -> datetime.datetime:
        """The moment."""

    def idle_volumes(self) -> Mapping[str, LastBegins]:
        """The volumes that may be worked on, in order, and when each action last began there."""

    def base(self, vol: str) -> MetaState:
        """What the base image holds."""

    def restorable(self, vol: str) -> list[Restorable]:
        """All snapshots that can be restored, implicit ones too, in order."""

    def num_diff(self, vol: str) -> int:
        """How many wdiffs there are."""

    def diffs(self, vol: str) -> list[Diff]:
        """The wdiffs from the base image on, in order."""

    def diff_size_to(self, vol: str, gid: int) -> int:
        """Bytes of the wdiffs up to a gid."""

    def protected_gids(self, vol: str) -> set[int]:
        """Gids that destinations have reached."""

    def latest_gid(self, vol: str) -> int:
        """The gid of the latest snapshot."""

    def destination_gid(self, server: ReplServerConfig, vol: str) -> int | None:
        """The latest gid of a volume at a destination; None when it is not Archived there."""


class ArchiveView:
    """View of real servers; each question is asked once."""

    def __init__(self, controller: Controller, archive: ServerConnectionParam, busy: set[str]) -> None:
        self.now = utc_now()
        self._controller = controller
        self._archive = archive
        self._busy = busy
        # Questions are cached per view: one plan sees one state.
        self.idle_volumes = cache(self._idle_volumes)
        self.restorable = cache(self._restorable)
        self.diffs = cache(self._diffs)
        self.num_diff = cache(self._num_diff)
        self._latest_gids = cache(self._ask_latest_gids)
        self._ts_delta = cache(lambda: controller.get_ts_delta(archive))
        self._reached = cache(self._ask_reached)

    def _idle_volumes(self) -> Mapping[str, LastBegins]:
        idle = self._controller.get_vol_dict_without_running_actions(self._archive)
        return {vol: begins for vol, begins in idle.items() if vol not in self._busy}

    def base(self, vol: str) -> MetaState:
        return self._controller.get_base(self._archive, vol)

    def _restorable(self, vol: str) -> list[Restorable]:
        infos = self._controller.get_restorable(self._archive, vol, "all")
        return [Restorable(info.gid, info.ts or self.now, bool(info.is_explicit)) for info in infos]

    def _num_diff(self, vol: str) -> int:
        return self._controller.get_num_diff(self._archive, vol)

    def _diffs(self, vol: str) -> list[Diff]:
        return self._controller.get_applicable_diff_list(self._archive, vol)

    def diff_size_to(self, vol: str, gid: int) -> int:
        return sum(diff.dataSize for diff in self.diffs(vol) if diff.E.gidB <= gid)

    def protected_gids(self, vol: str) -> set[int]:
        lines = [line for line in self._ts_delta() if line["name"] == vol and line.get("dest_gid")]
        return {int(line["dest_gid"]) for line in lines}

    def latest_gid(self, vol: str) -> int:
        return self._latest_gids()[vol]

    def _ask_latest_gids(self) -> Mapping[str, int]:
        return self._controller.get_latest_snapshot_info(self._archive)

    def destination_gid(self, server: ReplServerConfig, vol: str) -> int | None:
        return self._reached(server.getServerConnectionParam(), vol)

    def _ask_reached(self, destination: ServerConnectionParam, vol: str) -> int | None:
        if self._controller.get_state(destination, vol) not in aActive:
            return None
        return self._controller.get_latest_snapshot_info(destination, vol)[vol]


def worker_controller(config: Config) -> tuple[Controller, ServerConnectionParam]:
    """The controller with which the worker works, and its archive."""
    general = config.general
    archive = ServerConnectionParam(ARCHIVE_NAME, general.addr, general.port, K_ARCHIVE)
    return Controller(general.walbc_path, ServerLayout([], [], [archive]), timeoutS=general.timeout), archive
