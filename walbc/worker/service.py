"""The worker's loop: plan, start, sleep (python-library.md section 12.2).

A service manager is told when it begins and ends, and hears of each turn of the loop.
"""

from __future__ import annotations

import signal
import threading
import time
import traceback
from collections.abc import Callable

from walbc.library.controller import Controller
from walbc.library.servers import ServerConnectionParam
from walbc.worker.config import Config
from walbc.worker.log import WorkerLog
from walbc.worker.planner import ALL_STEPS, Planner
from walbc.worker.runner import Runner
from walbc.worker.tasks import Task
from walbc.worker.view import ArchiveView, View, worker_controller
from walbd.model.error import WalbError
from walbd.world.service_manager import ServiceManager

RETRY_SEC = 10
MAX_FAILURES = 3
SLOW_PLAN_SEC = 10
EXIT_OK = 0
EXIT_FAILED = 1
END_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_LOOK_SEC = 0.2
# A service manager stops a worker within so long a time; running tasks go on at their servers.
MANAGED_STOP_SEC = 40.0
_LONGEST_NAP_SEC = 1.0


class Service:
    """One worker. `stop` ends it after the running tasks."""

    def __init__(
        self,
        config: Config,
        controller: Controller,
        archive: ServerConnectionParam,
        log: WorkerLog,
        *,
        step: int = ALL_STEPS,
        starts_tasks: bool = True,
        manager: ServiceManager | None = None,
    ) -> None:
        self._config = config
        self._controller = controller
        self._archive = archive
        self._log = log
        self._step = step
        self._starts_tasks = starts_tasks
        self._runner = Runner(config, controller, log)
        self._manager = manager or ServiceManager()
        self.stop = threading.Event()
        self._load: Callable[[], Config] | None = None
        self._is_reload_asked = False

    def planner(self) -> Planner:
        """For the present moment."""
        runner = self._runner
        return Planner(self._config, self._archive, runner.last_replications, runner.may_replicate(), self._step)

    def view(self) -> View:
        """The present moment."""
        return ArchiveView(self._controller, self._archive, self._runner.busy())

    def run(self, lifetime_sec: float | None = None) -> int:
        """Works until `stop` is set or the lifetime is over; the exit status."""
        end = None if lifetime_sec is None else time.monotonic() + lifetime_sec
        failures = 0
        self._manager.ready(self._status())
        while not self.stop.is_set():
            if self._is_reload_asked:
                self._reload()
                failures = 0
            self._manager.beat(self._status())
            if end is not None and time.monotonic() >= end:
                self._log.info("lifetime ends")
                break
            try:
                has_started = self._step_once()
                failures = 0
            except Exception:
                failures += 1
                self._log.error(traceback.format_exc())
                if failures == MAX_FAILURES:
                    self._log.error("max retryNum")
                    return EXIT_FAILED
                self._sleep(time.monotonic() + RETRY_SEC)
                continue
            if not has_started:
                wake = time.monotonic() + float(self._config.general.kick_interval)
                self._sleep(wake if end is None else min(wake, end))
        self._manager.stopping("waiting for running tasks", is_patient=False)
        if not self._runner.wait_for_all(MANAGED_STOP_SEC if self._manager.is_present else None):
            self._log.warning("ended before its tasks, which go on at the servers", *sorted(self._runner.busy()))
        return EXIT_OK

    def _sleep(self, wake: float) -> None:
        """Until this moment of the monotonic clock, a stop or a reload."""
        while not self.stop.is_set() and not self._is_reload_asked and (left := wake - time.monotonic()) > 0:
            self._manager.beat()
            self.stop.wait(min(left, _LONGEST_NAP_SEC))

    def _status(self) -> str:
        return f"archive {self._archive.get_host_port()}, {len(self._runner.busy())} tasks running"

    def _reload(self) -> None:
        """Takes up changed policy files; wrong ones change nothing."""
        self._is_reload_asked = False
        assert self._load
        with self._manager.reloading():
            try:
                config = self._load()
            except WalbError as error:
                self._log.error("policy not reloaded", error)
                return
            controller, self._archive = worker_controller(config)
            self._config = config
            self._runner.adopt(config, controller)
            self._controller = controller
            self._log.info("policy reloaded")

    def _step_once(self) -> bool:
        """Whether a task was started."""
        begin = time.monotonic()
        chosen = self.planner().plan(self.view())
        period_sec = time.monotonic() - begin
        self._log.debug("selectPeriod", f"{period_sec:.3f}")
        if period_sec > SLOW_PLAN_SEC:
            self._log.warning("selectPeriod takes more than 10sec", f"{period_sec:.3f}")
        if chosen is None:
            self._log.debug("no task")
            return False
        name, task = chosen
        self._log.info(name, task.text)
        return self._starts_tasks and self._start(task)

    def _start(self, task: Task) -> bool:
        if self._runner.start(task):
            return True
        self._log.debug("task is canceled(max limit)", task.text)
        return False

    def run_once(self) -> int:
        """Works until nothing is due any more; 1 when a task failed. A volume whose task failed is left alone."""
        while not self.stop.is_set():
            chosen = self.planner().plan(self.view(), frozenset(self._runner.failed_volumes))
            if chosen is not None and self._runner.start(chosen[1]):
                continue
            if not self._runner.busy():
                break
            self._runner.wait_for_one(_LOOK_SEC)
        self._runner.wait_for_all()
        return EXIT_FAILED if self._runner.failed else EXIT_OK

    def dry_run(self, show: Callable[[str], None]) -> int:
        """Shows what is due now and why; changes nothing."""
        due = list(self.planner().plan_all(self.view()))
        for _, task in due:
            show(f"{task.vol}: {task.text}\n    because: {task.reason}")
        if not due:
            show("nothing is due")
        return EXIT_OK

    def obey_signals(self, load: Callable[[], Config]) -> None:
        """SIGINT and SIGTERM set `stop`; SIGHUP takes up what `load` returns, or keeps what there is when it raises a
        WalbError."""
        self._load = load
        for number in END_SIGNALS:
            signal.signal(number, lambda *_: self.stop.set())
        signal.signal(signal.SIGHUP, self._ask_reload)

    def _ask_reload(self, *_: object) -> None:
        self._is_reload_asked = True
