"""Tasks at work: each in a thread of its own, one per volume, so many at once as the configuration allows."""

from __future__ import annotations

import datetime
import threading

from walbc.library.controller import Controller
from walbc.library.failure import CommandError
from walbc.library.texts import utc_now
from walbc.worker.config import Config
from walbc.worker.log import WorkerLog
from walbc.worker.planner import ReplicationKey
from walbc.worker.tasks import ReplTask, Task


class Runner:
    """Starts tasks and knows which run. `failed` counts those that failed."""

    def __init__(self, config: Config, controller: Controller, log: WorkerLog) -> None:
        self._config = config
        self._controller = controller
        self._log = log
        self._running: dict[str, Task] = {}
        self._changed = threading.Condition()
        self.failed = 0
        self.failed_volumes: set[str] = set()
        self.last_replications: dict[ReplicationKey, datetime.datetime] = {}

    def adopt(self, config: Config, controller: Controller) -> None:
        """Later tasks work by another configuration."""
        with self._changed:
            self._config, self._controller = config, controller

    def busy(self) -> set[str]:
        """Volumes with a running task."""
        with self._changed:
            return set(self._running)

    def may_replicate(self) -> bool:
        """Whether one more replication may run."""
        with self._changed:
            count = sum(task.is_replication for task in self._running.values())
        return count < self._config.general.max_replication_task

    def start(self, task: Task) -> bool:
        """Starts a task; False when as many run as may."""
        with self._changed:
            if len(self._running) >= self._config.general.max_task or task.vol in self._running:
                return False
            self._running[task.vol] = task
            controller = self._controller
        if isinstance(task, ReplTask):
            self.last_replications[task.vol, task.server.name] = utc_now()
        self._log.info("startTask", task.text)
        # A daemon thread: after a fatal error the process ends at once, the server goes on with its work.
        threading.Thread(target=self._run, args=(task, controller), daemon=True).start()
        return True

    def _run(self, task: Task, controller: Controller) -> None:
        try:
            task.run(controller)
            self._log.info("endTask  ", task.text)
        except Exception as error:
            reason = error.stderr if isinstance(error, CommandError) and error.stderr else error
            self._log.error("errTask  ", task.text, reason)
            with self._changed:
                self.failed += 1
                self.failed_volumes.add(task.vol)
        finally:
            with self._changed:
                del self._running[task.vol]
                self._changed.notify_all()

    def wait_for_one(self, timeout_sec: float) -> None:
        """Returns when a task has ended, or after the time-out; at once when none runs."""
        with self._changed:
            if self._running:
                self._changed.wait(timeout_sec)

    def wait_for_all(self, limit_sec: float | None = None) -> bool:
        """Waits until no task runs; False when some still do after the limit."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._running, limit_sec)
