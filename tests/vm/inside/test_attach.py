"""A walb device as the kernel's block device: attach, work, lose the server, detach."""

from __future__ import annotations

import fcntl
import mmap
import os
import random
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from demo.group import wait_until
from tests.conftest import IS_LONG
from tests.device.walb_devices import BOUND_SEC, Pair, Server
from tests.vm.inside.attached import attach, check_ext4, mounted, restarted, wdevc
from tests.vm.inside.disks import run
from walbd.model.error import WalbError

NODE = Path("/dev/walb/vol")
BLKDISCARD, BLKZEROOUT = 0x1277, 0x127F
N_REQUESTS = 300 if IS_LONG else 80


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """A pair of 8 and 64 MiB; what is still attached at the end is detached by force."""
    pair = Pair(tmp_path, log_bytes=8 << 20, data_bytes=64 << 20)
    yield pair
    if (tmp_path / "vol.attached").exists():
        wdevc(tmp_path, "detach", "vol", "-f")


def write_directly(node: Path, data: bytes) -> int:
    """Writes past the page cache to the begin of a device."""
    buffer = mmap.mmap(-1, len(data))
    buffer[:] = data
    fd = os.open(node, os.O_RDWR | os.O_DIRECT)
    try:
        return os.pwrite(fd, buffer, 0)
    finally:
        os.close(fd)


def test_an_attached_device_is_a_disk_of_the_kernel_until_it_is_detached(pair: Pair, tmp_path: Path) -> None:
    with Server(pair) as server:
        server.wait_ready()
        assert wdevc(tmp_path, "list") == "0 0 walb/vol"
        node = attach(pair)
        assert NODE.resolve() == Path(node)
        number = os.stat(node).st_rdev
        assert wdevc(tmp_path, "list") == f"{os.major(number)} {os.minor(number)} walb/vol"
        assert run("blockdev", "--getsize64", "--getss", NODE).split() == [str(pair.size_bytes), "512"]
        run("mkfs.ext4", "-q", NODE)
        with mounted(NODE, tmp_path / "mnt") as mount:
            (mount / "file").write_bytes(b"content")
            with pytest.raises(WalbError, match="is in use"):
                wdevc(tmp_path, "detach", "vol")
        check_ext4(NODE)
        with pytest.raises(WalbError, match=f"attached as {node}"):
            wdevc(tmp_path, "delete-wdev", "vol")
        with pytest.raises(WalbError, match="attached already"):
            wdevc(tmp_path, "attach", "vol")
        wdevc(tmp_path, "detach", "vol")
        assert not NODE.is_symlink()
        assert wdevc(tmp_path, "list") == "0 0 walb/vol"
        with pytest.raises(WalbError, match="is not attached"):
            wdevc(tmp_path, "detach", "vol")


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


@pytest.mark.long
def test_io_that_waited_too_long_for_an_answer_goes_on_with_a_new_connection(pair: Pair, tmp_path: Path) -> None:
    with Server(pair) as server:
        server.wait_ready()
        attach(pair)
        wdevc(tmp_path, "freeze", "vol")
        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(write_directly, NODE, b"x" * 4096)
            wait_until(lambda: "Connection timed out" in run("dmesg"), BOUND_SEC, "the kernel's time-out")
            wdevc(tmp_path, "melt", "vol")
            assert writing.result(BOUND_SEC) == 4096
        assert server.log_path.read_text().count("attached again") == 1
        with server.client() as client:
            assert client.read(0, 4096) == b"x" * 4096


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


def test_the_kernel_reads_what_it_wrote_discarded_or_zeroed(pair: Pair, tmp_path: Path) -> None:
    choose = random.Random(5)
    oracle = bytearray(pair.size_bytes)
    with Server(pair) as server:
        server.wait_ready()
        attach(pair)
        fd = os.open(NODE, os.O_RDWR | os.O_DIRECT)
        for _ in range(N_REQUESTS):
            begin = choose.randrange(pair.size_bytes // 512) * 512
            size = min(choose.choice((1, 8, 100, 2048, 5000)) * 512, pair.size_bytes - begin)
            buffer = mmap.mmap(-1, size)  # page aligned, as direct I/O wants it
            action = choose.choice(("write", "write", "read", "read", "discard", "zero", "flush"))
            if action == "write":
                buffer[:] = oracle[begin : begin + size] = choose.randbytes(size)
                assert os.pwrite(fd, buffer, begin) == size
            elif action == "read":
                assert os.preadv(fd, [buffer], begin) == size
                assert buffer[:] == oracle[begin : begin + size]
            elif action == "flush":
                os.fsync(fd)
            else:
                fcntl.ioctl(fd, BLKDISCARD if action == "discard" else BLKZEROOUT, struct.pack("=QQ", begin, size))
                oracle[begin : begin + size] = bytes(size)
        os.close(fd)
        with open(NODE, "rb") as node:
            assert node.read() == oracle
        with server.client() as client:
            assert client.read(0, pair.size_bytes) == oracle
