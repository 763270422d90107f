"""Walb devices of the library: what a driver's device is asked for, and a user-space device for real."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import walblib
from demo.group import BIN
from walbd.device.nbd_client import NbdClient

MIB = 1 << 20
LSIDS = "latest 9\noldest 3\ncompleted {}\n"


class FakeHost:
    """A RunCommand that records, and answers what was prepared."""

    def __init__(self, **answers: str) -> None:
        self.answers = answers
        self.calls: list[str] = []

    def __call__(self, args: list[str], /) -> str:
        self.calls.append(" ".join(args[:-1] if args[:2] == ["/bin/sh", "-c"] else args))
        return next((answer for word, answer in self.answers.items() if word in " ".join(args)), "")


def kernel_device(host: FakeHost, name: str | int = 0) -> walblib.Device:
    return walblib.Device(name, "/dev/l", "/dev/d", "/bin/wdevc", host, user=False)


def test_a_device_of_the_driver_is_driven_by_the_commands_scripts_know() -> None:
    host = FakeHost()
    device = kernel_device(host)
    device.format_ldev()
    device.format_ldev(False)
    device.create()
    device.create(maxl=64, qp=0, bi=5)
    device.resize(16)
    device.reset()
    device.delete()
    assert host.calls == [
        "/bin/wdevc format-ldev /dev/l /dev/d",
        "/bin/wdevc format-ldev /dev/l /dev/d -nd",
        "/bin/wdevc create-wdev /dev/l /dev/d -n 0",
        "/bin/wdevc create-wdev /dev/l /dev/d -n 0 -maxl 64 -bi 5",
        "/bin/wdevc resize /dev/walb/0 32768",
        "/bin/wdevc reset-wal /dev/walb/0",
        "/bin/wdevc delete-wdev /dev/walb/0",
    ]


def test_sizes_and_log_of_a_driver_s_device_come_from_sysfs(capsys: pytest.CaptureFixture[str]) -> None:
    host = FakeHost(**{"walb!0/size": "4096", "walb!L0/size": "512", "lsids": LSIDS.format(3)})
    device = kernel_device(host)
    assert (device.get_size_lb(), device.get_size_mb(), device.get_log_size_lb()) == (4096, 2, 512)
    device.wait_for_log_empty()
    host.answers["lsids"] = LSIDS.format(4)
    with pytest.raises(Exception, match="wait_for_log_empty"):
        device.wait_for_log_empty(0)
    assert capsys.readouterr().out == "wait_for_log_empty 3 4\n"
    host.answers["walb!0/size"] = "4097"
    with pytest.raises(Exception, match="not multiple of MiB"):
        device.get_size_mb()


def test_a_number_and_a_name_both_name_a_device() -> None:
    assert [kernel_device(FakeHost(), name).path for name in (0, "0", "vol0")] == ["/dev/walb/0"] * 2 + [
        "/dev/walb/vol0"
    ]
    device = walblib.Device(iD=3, ldev="/dev/l", ddev="/dev/d", wdevcPath="/bin/wdevc")
    assert (device.iD, device.name, str(device)) == (3, "3", "3, /dev/l, /dev/d, /bin/wdevc")
    with pytest.raises(TypeError):
        walblib.Device(None, "/dev/l", "/dev/d", "/bin/wdevc")


def test_the_host_is_asked_once_whether_it_has_the_driver() -> None:
    for has_driver, more in (("1", ""), ("0", " -user")):
        host = FakeHost(control=has_driver)
        device = walblib.Device(0, "/dev/l", "/dev/d", "/bin/wdevc", host)
        device.create()
        device.create()
        assert host.calls == ["/bin/sh -c", *[f"/bin/wdevc create-wdev /dev/l /dev/d -n 0{more}"] * 2]


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="walb-t-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def test_a_user_space_device_lives_through_all_operations(folder: Path) -> None:
    ldev, ddev = folder / "ldev", folder / "ddev"
    for path, size in ((ldev, 2 * MIB), (ddev, 4 * MIB)):
        path.write_bytes(b"")
        with open(path, "r+b") as file:
            file.truncate(size)
    device = walblib.Device(0, str(ldev), str(ddev), str(BIN / "wdevc"), user=True, socketDir=str(folder))
    assert not device.exists()
    device.format_ldev()
    device.create()
    try:
        assert device.exists()
        assert (device.get_size_mb(), device.get_log_size_lb()) == (4, 4096)
        nbd = NbdClient(folder / "0.nbd")
        nbd.write(0, b"x" * 4096)
        nbd.flush()
        nbd.close()
        with pytest.raises(Exception, match="wait_for_log_empty"):
            device.wait_for_log_empty(0)
        device.reset()
        device.wait_for_log_empty(0)
        with open(ddev, "r+b") as file:
            file.truncate(8 * MIB)
        device.resize(8)
        assert device.get_size_mb() == 8
    finally:
        device.delete()
    assert not device.exists()
