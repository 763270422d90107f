"""What each kind of service tells the manager that has started it."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from demo.group import run_command
from tests.services.conftest import KINDS, Services
from tests.services.notify_socket import LIMIT_SEC, NotifySocket

WATCHDOG_SEC = 0.2
STATUS = {
    "storage": r"port \d+, 0 volumes",
    "proxy": r"port \d+, 0 volumes",
    "archive": r"port \d+, 0 volumes",
    "device": "serving vol: 2048 blocks",
    "worker": "archive 127.0.0.1:1, 0 tasks running",
}


@pytest.fixture
def notified(services: Services) -> Iterator[NotifySocket]:
    with NotifySocket(services.folder / "notify") as made:
        yield made


@contextmanager
def started(services: Services, kind: str, notified: NotifySocket) -> Iterator[subprocess.Popen[str]]:
    with open(services.folder / "out", "w") as out:
        process = subprocess.Popen(
            services.command(kind), env=notified.environment(WATCHDOG_SEC), stdout=out, stderr=out, text=True
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("kind", KINDS)
def test_a_service_tells_each_step_of_its_life(services: Services, notified: NotifySocket, kind: str) -> None:
    with started(services, kind, notified) as process:
        first = notified.next()
        if kind != "worker":  # which needs no time to start
            assert re.search(r"EXTEND_TIMEOUT_USEC=\d+", first)
        ready = first if first.startswith("READY=1") else notified.until(lambda message: message.startswith("READY=1"))
        assert re.fullmatch(f"READY=1\nSTATUS={STATUS[kind]}", ready)
        for _ in range(2):
            notified.until(lambda message: "WATCHDOG=1" in message)
        if kind != "device":  # which has no configuration
            process.send_signal(signal.SIGHUP)
            notified.until(lambda message: re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", message) is not None)
            notified.until(lambda message: message == "READY=1")
        process.send_signal(signal.SIGTERM)
        notified.until(lambda message: message.startswith("STOPPING=1\nSTATUS="))
        assert process.wait(LIMIT_SEC) == 0, (services.folder / "out").read_text()


@pytest.mark.long
def test_a_stopped_event_loop_is_silent(services: Services, notified: NotifySocket) -> None:
    with started(services, "proxy", notified) as process:
        notified.until(lambda message: "WATCHDOG=1" in message)
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(TimeoutError):
            notified.take_until_silent(5 * WATCHDOG_SEC)
        process.send_signal(signal.SIGCONT)
        notified.until(lambda message: "WATCHDOG=1" in message)


def test_changed_policy_files_are_taken_up_and_wrong_ones_change_nothing(
    services: Services, notified: NotifySocket
) -> None:
    with started(services, "worker", notified) as process:
        notified.until(lambda message: message.startswith("READY=1"))
        services.policy.write_text("general: [")
        process.send_signal(signal.SIGHUP)
        notified.until(lambda message: message == "READY=1")
        notified.until(lambda message: "archive 127.0.0.1:1," in message)
        services.write_policy(2)
        process.send_signal(signal.SIGHUP)
        notified.until(lambda message: "archive 127.0.0.1:2," in message)
    out = (services.folder / "out").read_text()
    assert f"ERROR policy not reloaded:{services.policy}:1: no YAML" in out
    assert "INFO policy reloaded" in out


@pytest.mark.long
def test_a_graceful_end_of_a_daemon_by_walbc_is_told_too(services: Services, notified: NotifySocket) -> None:
    with started(services, "proxy", notified) as process:
        ready = notified.until(lambda message: message.startswith("READY=1"))
        port = re.findall(r"port (\d+)", ready)[0]
        run_command("walbc", "-a", "127.0.0.1", "-p", port, "shutdown", "graceful")
        notified.until(lambda message: message == "STOPPING=1\nSTATUS=waiting for remaining tasks")
        assert notified.next().startswith("EXTEND_TIMEOUT_USEC="), "running work may take hours"
        assert process.wait(LIMIT_SEC) == 0
