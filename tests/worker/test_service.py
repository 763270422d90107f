"""The worker's loop and its log, over planned tasks that are not run at any server."""

from __future__ import annotations

import datetime
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.worker.model_archive import ARCHIVE, NOW, ModelArchive, ModelVolume, config, diff
from walbc.library.controller import Controller
from walbc.library.servers import ServerLayout
from walbc.worker import service as service_module
from walbc.worker.log import WorkerLog
from walbc.worker.service import Service
from walbc.worker.view import View
from walbd.world.service_manager import ServiceManager

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} (DEBUG|INFO|WARN|ERROR) (.*)")
DAY = datetime.timedelta(days=1)


class ModelController(Controller):
    """Carries tasks out in memory; `before` is called first and may raise or wait."""

    def __init__(self, archive: ModelArchive) -> None:
        super().__init__(sys.executable, ServerLayout([], [], [ARCHIVE]))
        self.archive = archive
        self.before: Callable[[], Any] = lambda: None

    def apply(self, ax: Any, vol: Any, gid: int, timeoutS: int | None = None) -> None:
        from walbc.worker.tasks import ApplyTask

        self.before()
        self.archive.carry_out(ApplyTask(vol, ARCHIVE, "", gid))


class ModelService(Service):
    """A worker that sees an archive in memory."""

    def __init__(self, archive: ModelArchive, **options: Any) -> None:
        self.archive = archive
        self.controller = ModelController(archive)
        self.settings = config()
        self.settings.general.kick_interval = 0
        super().__init__(self.settings, self.controller, ARCHIVE, WorkerLog(True), **options)

    def view(self) -> View:
        busy = self._runner.busy()
        idle = {name: volume for name, volume in self.archive.volumes.items() if name not in busy}
        return ModelArchive(idle, NOW, self.archive.reached)


def old_volume() -> ModelVolume:
    """One that can be applied up to gid 1."""
    return ModelVolume(0, NOW - 9 * DAY, [diff(0, 1, ts=NOW - 8 * DAY, flags="--"), diff(1, 2, flags="--")])


def messages(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What was logged, without times; lines nobody waits for left out."""
    found = []
    for line in capsys.readouterr().out.splitlines():
        match = LINE.fullmatch(line)
        assert match, line
        if not match[2].startswith(("selectPeriod", "no task", "task is canceled")):
            found.append(f"{match[1]} {match[2]}")
    return found


APPLY = "name=apply vol={} ax=a0, h, 1, archive gid=1"


def test_one_run_does_what_is_due_and_ends(capsys: pytest.CaptureFixture[str]) -> None:
    service = ModelService(ModelArchive({"v0": old_volume()}))
    assert service.run_once() == 0
    assert service.archive.volumes["v0"].base_gid == 1
    assert messages(capsys) == [f"INFO startTask:{APPLY.format('v0')}", f"INFO endTask  :{APPLY.format('v0')}"]
    assert service.run_once() == 0
    assert messages(capsys) == []


def test_one_run_fails_when_a_task_does_and_goes_on_with_other_volumes(capsys: pytest.CaptureFixture[str]) -> None:
    service = ModelService(ModelArchive({"v0": old_volume(), "v1": old_volume()}))
    outcomes = iter([OSError("broken"), None])

    def fail_once() -> None:
        outcome = next(outcomes)
        if outcome:
            raise outcome

    service.controller.before = fail_once
    assert service.run_once() == 1
    assert sorted(volume.base_gid for volume in service.archive.volumes.values()) == [0, 1]
    assert f"ERROR errTask  :{APPLY.format('v0')}:broken" in messages(capsys)


def test_nothing_is_started_when_no_task_may_run() -> None:
    service = ModelService(ModelArchive({"v0": old_volume()}))
    service.settings.general.max_task = 0
    assert service.run_once() == 0
    assert service.archive.volumes["v0"].base_gid == 0


def test_a_dry_run_shows_what_and_why_and_changes_nothing() -> None:
    service = ModelService(ModelArchive({"v0": old_volume(), "v1": old_volume()}))
    shown: list[str] = []
    assert service.dry_run(shown.append) == 0
    reason = "    because: snapshots before it are older than 3 days, 0:00:00"
    assert shown == [f"{vol}: {APPLY.format(vol)}\n{reason}" for vol in ("v0", "v1")]
    assert service.archive.volumes["v0"].base_gid == 0
    assert ModelService(ModelArchive({})).dry_run(shown.append) == 0
    assert shown[-1] == "nothing is due"


def test_a_service_ends_after_its_running_task_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    service = ModelService(ModelArchive({"v0": old_volume()}))
    begun, release = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        assert release.wait(20)

    service.controller.before = hold
    thread = threading.Thread(target=service.run)
    thread.start()
    assert begun.wait(20)
    service.stop.set()
    release.set()
    thread.join(20)
    assert not thread.is_alive()
    assert messages(capsys) == [
        f"INFO selectApplyTask2:{APPLY.format('v0')}",
        f"INFO startTask:{APPLY.format('v0')}",
        f"INFO endTask  :{APPLY.format('v0')}",
    ]


def test_a_managed_service_does_not_wait_for_long_tasks_which_go_on_at_their_servers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(service_module, "MANAGED_STOP_SEC", 0)
    manager = ServiceManager(str(tmp_path / "nobody-listens"))
    service = ModelService(ModelArchive({"v0": old_volume()}), manager=manager)
    release = threading.Event()

    def hold() -> None:
        service.stop.set()
        assert release.wait(20)

    service.controller.before = hold
    assert service.run() == 0
    assert messages(capsys)[-1] == "WARN ended before its tasks, which go on at the servers:v0"
    release.set()
    assert service._runner.wait_for_all(20)


def test_a_lifetime_ends_a_service(capsys: pytest.CaptureFixture[str]) -> None:
    assert ModelService(ModelArchive({})).run(lifetime_sec=0) == 0
    assert messages(capsys) == ["INFO lifetime ends"]


def test_selected_tasks_are_not_run_when_only_selection_is_wanted() -> None:
    service = ModelService(ModelArchive({"v0": old_volume()}), starts_tasks=False)
    assert service.run(lifetime_sec=0.05) == 0
    assert service.archive.volumes["v0"].base_gid == 0


def test_three_failures_to_plan_in_a_row_end_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(service_module, "RETRY_SEC", 0)
    service = ModelService(ModelArchive({}))
    monkeypatch.setattr(service, "view", lambda: 1 / 0)
    assert service.run() == 1
    lines = messages(capsys)
    assert len(lines) == 4
    assert all(line.startswith("ERROR Traceback") for line in lines[:3])
    assert lines[3] == "ERROR max retryNum"
