"""wdevc and WalbDevice on the kernel driver, which a stand-in answers for: the driver cannot be loaded here."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from pathlib import Path

import pytest

from tests.device.fake_driver import FakeDevice, FakeDriver
from walbd.device import create, kernel_device, kernel_ioctl, resolve, wdevc
from walbd.device.kernel_device import KernelDevice
from walbd.device.resolve import resolve_device


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDriver:
    """The driver, in place of ioctl and of its folders."""
    fake = FakeDriver(tmp_path)
    monkeypatch.setattr(kernel_ioctl.fcntl, "ioctl", fake.ioctl)
    monkeypatch.setattr(KernelDevice.__init__, "__defaults__", (fake.nodes, fake.sysfs))
    monkeypatch.setattr(resolve, "NODE_FOLDER", fake.nodes)
    for module in (create, kernel_device):
        monkeypatch.setattr(module, "CONTROL_NODE", str(fake.control))
    monkeypatch.setenv("WALB_SOCKET_DIR", str(tmp_path / "no-sockets"))
    return fake


@pytest.fixture
def vol(driver: FakeDriver) -> FakeDevice:
    return driver.add("vol")


class Wdevc:
    """Runs wdevc in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *words: object) -> tuple[int, str, str]:
        self._monkeypatch.setattr(sys, "argv", ["wdevc", *map(str, words)])
        status = wdevc.main()
        printed = self._capsys.readouterr()
        return status, printed.out, printed.err


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Wdevc:
    return Wdevc(monkeypatch, capsys)


def block_device() -> Path:
    for path in sorted(Path("/dev").iterdir()):
        if stat.S_ISBLK(path.stat().st_mode):
            return path
    pytest.skip("no block device to name")


@pytest.mark.parametrize(
    ("command", "printed"),
    [
        ("get-oldest-lsid", "10\n"),
        ("get-written-lsid", "50\n"),
        ("get-permanent-lsid", "60\n"),
        ("get-completed-lsid", "80\n"),
        ("get-log-usage", "80\n"),
        ("get-checkpoint-interval", "10000\n"),
        ("is-flush-capable", "1\n"),
        ("is-log-overflow", "0\n"),
        ("is-frozen", "0\n"),
        ("is-flozen", "0\n"),
    ],
)
def test_every_question_is_answered_from_the_driver(vol: FakeDevice, run: Wdevc, command: str, printed: str) -> None:
    assert run(command, "vol") == (0, printed, "")
    assert run(command, vol.node) == (0, printed, "")


def test_the_log_capacity_is_that_of_the_ring(vol: FakeDevice, run: Wdevc) -> None:
    assert run("get-log-capacity", "vol") == (0, f"{vol.pair.super_sector().ring_size_pb}\n", "")


def test_every_command_reaches_the_driver(vol: FakeDevice, run: Wdevc) -> None:
    assert run("set-checkpoint-interval", "vol", 0)[0] == 0 and vol.interval_ms == 0
    assert run("force-checkpoint", "vol")[0] == 0 and vol.lsids["prev_written"] == 50
    assert run("set-oldest-lsid", "vol", 50)[0] == 0 and vol.lsids["oldest"] == 50
    assert run("freeze", "vol", 7)[0] == 0 and (vol.is_frozen, vol.frozen_sec) == (1, 7)
    assert run("is-frozen", "vol")[1] == "1\n"
    assert run("melt", "vol")[0] == 0 and vol.is_frozen == 0
    assert run("resize", "vol", 3000)[0] == 0 and vol.size_lb == 3000
    assert run("resize", "vol")[0] == 0 and vol.size_lb == 4096
    vol.is_overflow = 1
    assert run("is-log-overflow", "vol")[1] == "1\n"
    assert run("reset-wal", "vol")[0] == 0 and vol.lsids["latest"] == vol.is_overflow == 0


def test_clear_wal_waits_until_the_log_is_written_then_gives_it_free(vol: FakeDevice, run: Wdevc) -> None:
    vol.lsids["written"] = 60
    vol.show()
    assert run("clear-wal", "vol", 5)[0] == 0
    assert (vol.lsids["oldest"], vol.checkpoints) == (60, 1)


def test_a_refused_command_tells_node_and_error_number(vol: FakeDevice, run: Wdevc) -> None:
    status, out, err = run("set-oldest-lsid", "vol", 55)
    assert (status, out) == (1, "")
    assert f"walb driver refused the command on {vol.node}: Bad address, error 0" in err
    assert run("resize", "vol", 100)[0] == 1 and vol.size_lb == 2048


def test_devices_are_started_listed_and_stopped(driver: FakeDriver, run: Wdevc) -> None:
    device = block_device()
    assert run("list") == (0, "", "")
    assert run("create-wdev", device, device, "-n", "a", "-maxp", 64, "-bi", 7) == (
        0,
        "name a\nmajor 252\nminor 0\n",
        "",
    )
    assert driver.parameters == (64, 16, 100, 32, 100, 16, 128, 7)
    assert run("create-wdev", device, device, "-n", "b")[0] == 0
    assert run("list") == (0, "252 0 walb/a\n252 2 walb/b\n", "")
    status, _, err = run("create-wdev", device, device, "-n", "b")
    assert status == 1 and "error -7" in err
    driver.devices[-1].is_frozen = 1
    status, _, err = run("delete-wdev", "b")
    assert status == 1 and "Device or resource busy, error -2" in err
    assert run("delete-wdev", "b", "-f")[0] == 0
    assert run("list")[1] == "252 0 walb/a\n"
    assert "no walb device b" in run("melt", "b")[2]


def test_more_devices_than_one_answer_holds_are_all_listed(driver: FakeDriver, run: Wdevc) -> None:
    names = [f"v{number:02}" for number in range(70)]
    for name in names:
        driver.add(name)
    assert [line.split("/")[1] for line in run("list")[1].splitlines()] == names


def test_plain_files_are_refused_with_the_remedy(driver: FakeDriver, run: Wdevc, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    status, _, err = run("create-wdev", tmp_path / "file", tmp_path / "file")
    assert status == 1 and "is no block device (hint: plain files need -user)" in err


async def test_storage_sees_size_uuid_and_ring(vol: FakeDevice) -> None:
    vol.is_overflow = 1
    info = await resolve_device("vol", vol.driver.folder).info()
    sector = vol.pair.super_sector()
    assert (info.name, info.kind, info.size_lb, info.is_overflow) == ("vol", "kernel", 2048, True)
    assert (info.uuid, info.salt, info.ring_size_pb) == (sector.uuid, sector.salt, sector.ring_size_pb)


async def test_a_waiter_is_woken_by_new_log(vol: FakeDevice) -> None:
    device = resolve_device("vol", vol.driver.folder)
    seen = await device.lsids()
    waiting = asyncio.ensure_future(device.wait(seen, 60))
    await asyncio.sleep(0)
    vol.lsids["permanent"] = 61
    vol.show()
    assert (await waiting).permanent == 61


async def test_the_log_is_read_from_the_log_node(vol: FakeDevice) -> None:
    fd = KernelDevice("vol").open_log()
    try:
        assert os.fstat(fd).st_ino == vol.pair.ldev.stat().st_ino
    finally:
        os.close(fd)
