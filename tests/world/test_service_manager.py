from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.notify_socket import NotifySocket
from walbd.world.service_manager import ServiceManager


@pytest.fixture
def notified(tmp_path: Path) -> Iterator[NotifySocket]:
    with NotifySocket(tmp_path / "notify") as made:
        yield made


def test_a_life_is_told_step_by_step(notified: NotifySocket) -> None:
    manager = ServiceManager(str(notified.path))
    manager.beat("loading")
    manager.ready("serving")
    manager.stopping("ending", is_patient=False)
    assert notified.take(3) == [
        "STATUS=loading\nEXTEND_TIMEOUT_USEC=120000000",
        "READY=1\nSTATUS=serving",
        "STOPPING=1\nSTATUS=ending",
    ]


def test_a_reload_carries_the_time_and_ends_ready_also_when_it_fails(notified: NotifySocket) -> None:
    manager = ServiceManager(str(notified.path))
    manager.ready("")
    before_usec = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    with pytest.raises(ValueError, match="bad file"), manager.reloading():
        raise ValueError("bad file")
    _, reloading, ready = notified.take(3)
    head, usec = reloading.split("\nMONOTONIC_USEC=")
    assert head == "RELOADING=1"
    assert before_usec <= int(usec) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert ready == "READY=1"


def test_a_reload_during_the_start_does_not_make_the_service_ready(notified: NotifySocket) -> None:
    manager = ServiceManager(str(notified.path))
    with manager.reloading():
        pass
    manager.ready("now")
    assert notified.take(1) == ["READY=1\nSTATUS=now"]


def test_the_watchdog_hears_from_a_serving_service_and_an_impatient_end_gets_no_more_time(
    notified: NotifySocket,
) -> None:
    manager = ServiceManager(str(notified.path), watchdog_sec=8)
    assert manager.beat_sec == 4
    manager.ready("")
    manager.beat()
    manager.beat("3 volumes")
    manager.stopping("", is_patient=False)
    manager.beat()
    manager.stopping("again", is_patient=True)
    assert notified.take(6)[1:] == [
        "WATCHDOG=1",
        "STATUS=3 volumes\nWATCHDOG=1",
        "STOPPING=1\nSTATUS=",
        "STOPPING=1\nSTATUS=again",
        "EXTEND_TIMEOUT_USEC=16000000",
    ]


def test_an_abstract_socket_is_spoken_to() -> None:
    name = f"walb-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0{name}")
        listening.settimeout(10)
        ServiceManager(f"@{name}").ready("here")
        assert listening.recv(1000) == b"READY=1\nSTATUS=here"


def test_a_status_is_one_line_and_cannot_forge_another_message(notified: NotifySocket) -> None:
    ServiceManager(str(notified.path)).ready("a\nWATCHDOG=trigger")
    assert notified.take(1) == ["READY=1\nSTATUS=a\\nWATCHDOG=trigger"]


def test_nobody_is_told_without_a_socket_and_a_dead_manager_ends_nothing(tmp_path: Path) -> None:
    for address in ("", str(tmp_path / "gone"), "/" + "x" * 200):
        manager = ServiceManager(address)
        manager.ready("")
        manager.stopping("", is_patient=True)


@pytest.mark.parametrize(
    ("usec", "pid", "beat_sec"),
    [
        pytest.param("2000000", str(os.getpid()), 1, id="this process"),
        ("2000000", None, 1),
        ("2000000", "1", 30),
        ("soon", None, 30),
        (None, None, 30),
    ],
)
def test_the_environment_names_the_manager_and_programs_started_later_do_not_see_it(
    usec: str | None, pid: str | None, beat_sec: float
) -> None:
    given = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": usec, "WATCHDOG_PID": pid, "HOME": "/root"}
    environment = {name: value for name, value in given.items() if value is not None}
    manager = ServiceManager.take(environment)
    assert manager.is_present
    assert manager.beat_sec == beat_sec
    assert environment == {"HOME": "/root"}
