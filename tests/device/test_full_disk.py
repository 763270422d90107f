"""A disk that is really full under the log or the data device, then not full any more: nothing acknowledged is lost."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.device.walb_devices import BOUND_SEC, Pair, Server
from walbd.model.error import StorageFailure

PIECE = 64 << 10
DISK_BYTES = 1 << 20
MANY = 10_000


class SmallDisk:
    """A file system of its own that can grow."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def mount(self, size_bytes: int, *options: str) -> bool:
        words = ["mount", "-t", "tmpfs", "-o", ",".join((*options, f"size={size_bytes}")), "walb-test", self.folder]
        return subprocess.run(words, check=False, capture_output=True).returncode == 0

    def grow(self) -> None:
        assert self.mount(64 << 20, "remount")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    small = SmallDisk(folder)
    if not small.mount(DISK_BYTES):
        pytest.skip("mounting a small tmpfs is not allowed here: it needs root")
    yield small
    subprocess.run(["umount", "-l", folder], check=True)


def on_disk(pair: Pair, disk: SmallDisk, which: str) -> None:
    """Moves one device of the pair to the small disk, as a sparse file."""
    path = getattr(pair, which)
    subprocess.run(["cp", "--sparse=always", path, disk.folder / which], check=True)
    setattr(pair, which, disk.folder / which)


def fill(server: Server) -> dict[int, bytes]:
    """Writes until one fails; what was acknowledged."""
    acknowledged: dict[int, bytes] = {}
    with server.client() as client, pytest.raises(StorageFailure):
        # A full data device is noticed a moment after the log has acknowledged.
        for number in range(MANY):
            place, data = number % (8 * DISK_BYTES // PIECE), os.urandom(PIECE)
            client.write(place * PIECE, data, fua=True)
            acknowledged[place] = data
    return acknowledged


@pytest.mark.parametrize("which", ["ldev", "ddev"])
def test_a_full_disk_makes_the_device_read_only_and_nothing_acknowledged_is_lost(
    tmp_path: Path, disk: SmallDisk, which: str
) -> None:
    pair = Pair(tmp_path, log_bytes=16 << 20, data_bytes=16 << 20)
    on_disk(pair, disk, which)
    with Server(pair).wait_ready() as server:
        acknowledged = fill(server)
        assert acknowledged
        text = server.log_path.read_text()
        assert "read-only from now on: " in text and "No space left on device" in text
        assert f"{'log' if which == 'ldev' else 'data'} device {getattr(pair, which)}" in text
        with server.client() as client:
            with pytest.raises(StorageFailure, match="Input/output error"):
                client.write(0, bytes(512))
            assert client.read(0, PIECE) == acknowledged[0]
        assert server.stop() == 1
        assert server.process.wait(BOUND_SEC) == 1
    disk.grow()
    with Server(pair).wait_ready() as server, server.client() as client:
        for number, data in acknowledged.items():
            assert client.read(number * PIECE, PIECE) == data
        client.write(0, b"x" * 512)
        client.flush()
        assert server.stop() == 0


def test_a_disk_still_full_at_start_is_refused_in_one_line_and_loses_nothing(tmp_path: Path, disk: SmallDisk) -> None:
    pair = Pair(tmp_path, log_bytes=16 << 20, data_bytes=16 << 20)
    on_disk(pair, disk, "ddev")
    with Server(pair).wait_ready() as server:
        acknowledged = fill(server)
        server.stop()
    log_size = server.log_path.stat().st_size
    with Server(pair) as server:
        assert server.process.wait(BOUND_SEC) == 1
        lines = server.log_path.read_bytes()[log_size:].decode().splitlines()
        assert len(lines) == 1 and str(pair.ddev) in lines[0] and "No space left on device" in lines[0]
    disk.grow()
    with Server(pair).wait_ready() as server, server.client() as client:
        assert all(client.read(number * PIECE, PIECE) == data for number, data in acknowledged.items())
