"""The sockets of a user-space device appear complete and disappear with their server."""

from __future__ import annotations

import socket
import stat
import threading
from pathlib import Path

import pytest

from walbd.device.user.sockets import SocketFolder
from walbd.model.error import AlreadyExists


def connect_when_it_appears(path: Path, outcome: list[str]) -> None:
    """Spins until the name exists, then connects at once."""
    while not path.exists():
        pass
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError as error:
            outcome.append(str(error))


def test_who_sees_a_socket_can_connect_to_it(tmp_path: Path) -> None:
    outcome: list[str] = []
    for number in range(200):
        path = tmp_path / f"w{number}.ctl"
        watcher = threading.Thread(target=connect_when_it_appears, args=(path, outcome))
        watcher.start()
        sockets = SocketFolder(tmp_path, f"w{number}")
        sockets.take()
        with sockets.listen(".ctl"):
            watcher.join()
        sockets.remove()
    assert outcome == []


def test_only_the_owner_may_connect(tmp_path: Path) -> None:
    sockets = SocketFolder(tmp_path, "w0")
    sockets.take()
    with sockets.listen(".nbd"):
        assert stat.S_IMODE((tmp_path / "w0.nbd").stat().st_mode) == 0o600
    sockets.remove()


def test_a_dead_servers_socket_is_replaced_and_a_living_ones_is_not(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "w0.nbd"))
    sockets = SocketFolder(tmp_path, "w0")
    sockets.take()
    with sockets.listen(".nbd"), pytest.raises(AlreadyExists, match="a walb device w0 is served"):
        SocketFolder(tmp_path, "w0").listen(".nbd")
    sockets.remove()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["w0.lock"]
