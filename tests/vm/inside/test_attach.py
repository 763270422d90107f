"""A walb device as the kernel's block device: attach, work, lose the server, detach."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.device.walb_devices import Pair, Server
from tests.vm.inside.attached import attach, check_ext4, mounted, restarted, wdevc
from tests.vm.inside.disks import run

NODE = Path("/dev/walb/vol")


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """A pair of 8 and 64 MiB; what is still attached at the end is detached by force."""
    pair = Pair(tmp_path, log_bytes=8 << 20, data_bytes=64 << 20)
    yield pair
    if (tmp_path / "vol.attached").exists():
        wdevc(tmp_path, "detach", "vol", "-f")


def refusal(pair: Pair, *words: str) -> str:
    """What wdevc says when it refuses."""
    done = subprocess.run(
        [sys.executable, "-m", "walbd.device.wdevc", *words, "-s", str(pair.folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    return done.stderr


def test_an_attached_device_is_a_disk_of_the_kernel_until_it_is_detached(pair: Pair, tmp_path: Path) -> None:
    with Server(pair) as server:
        server.wait_ready()
        assert wdevc(tmp_path, "list") == "0 0 walb/vol\n"
        node = attach(pair)
        assert NODE.resolve() == Path(node)
        number = os.stat(node).st_rdev
        assert wdevc(tmp_path, "list") == f"{os.major(number)} {os.minor(number)} walb/vol\n"
        assert run("blockdev", "--getsize64", "--getss", NODE).split() == [str(pair.size_bytes), "512"]
        run("mkfs.ext4", "-q", NODE)
        with mounted(NODE, tmp_path / "mnt") as mount:
            (mount / "file").write_bytes(b"content")
            assert "is in use" in refusal(pair, "detach", "vol")
        check_ext4(NODE)
        assert f"attached as {node}" in refusal(pair, "delete-wdev", "vol")
        assert "attached already" in refusal(pair, "attach", "vol")
        wdevc(tmp_path, "detach", "vol")
        assert not NODE.is_symlink()
        assert wdevc(tmp_path, "list") == "0 0 walb/vol\n"
        assert "is not attached" in refusal(pair, "detach", "vol")


def test_a_mounted_file_system_outlives_kill_and_upgrade_of_the_server(pair: Pair, tmp_path: Path) -> None:
    server = Server(pair).wait_ready()
    attach(pair)
    run("mkfs.ext4", "-q", NODE)
    with mounted(NODE, tmp_path / "mnt") as mount:
        (mount / "first").write_bytes(b"1" * 100_000)
        server = restarted(server)
        (mount / "second").write_bytes(b"2" * 100_000)
        os.sync()
        assert server.stop() == 0
        server = Server(pair).wait_ready()
        run("sh", "-c", "echo 3 > /proc/sys/vm/drop_caches")
        assert (mount / "first").read_bytes() == b"1" * 100_000
        assert (mount / "second").read_bytes() == b"2" * 100_000
    check_ext4(NODE)
    with server:
        wdevc(tmp_path, "detach", "vol")


def test_an_attached_device_grows_online(pair: Pair, tmp_path: Path) -> None:
    with Server(pair) as server:
        server.wait_ready()
        attach(pair)
        run("mkfs.ext4", "-q", NODE)
        with mounted(NODE, tmp_path / "mnt"):
            os.truncate(pair.ddev, 96 << 20)
            wdevc(tmp_path, "resize", "vol")
            assert run("blockdev", "--getsize64", NODE).strip() == str(96 << 20)
            run("resize2fs", NODE)
        check_ext4(NODE)
        restarted(server).stop()
        assert run("blockdev", "--getsize64", NODE).strip() == str(96 << 20)
