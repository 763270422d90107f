"""walb-device -list: many devices of one host, started at once."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.group import wait_until
from tests.device.walb_devices import BOUND_SEC, Pair
from walbd.device.nbd_client import NbdClient
from walbd.device.user_device import UserDevice

COUNT = 5


class Devices:
    """Pairs in folders of their own, a list of them, and what runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names = [f"d{number}" for number in range(COUNT)]
        self.pairs = {}
        for name in self.names:
            (folder / name).mkdir()
            self.pairs[name] = Pair(folder / name)
        self.list = folder / "devices"
        self.list.write_text("# ours\n\n" + "".join(self.line(name) for name in self.names))

    def line(self, name: str) -> str:
        return f"-n {name} -ldev {name}/ldev -ddev {name}/ddev\n"

    def start(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "walbd.device.main", "-list", self.list, "-s", self.folder],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=BOUND_SEC,
            check=False,
        )

    async def pid(self, name: str) -> int:
        device = UserDevice(self.folder / f"{name}.ctl")
        try:
            return await device.server_pid()
        finally:
            await device.close()

    def stop(self) -> None:
        for control in self.folder.glob("*.ctl"):
            stopping = [sys.executable, "-m", "walbd.device.wdevc", "delete-wdev", control]
            subprocess.run(stopping, timeout=BOUND_SEC, check=True)


@pytest.fixture
def devices(tmp_path: Path) -> Iterator[Devices]:
    found = Devices(tmp_path)
    yield found
    found.stop()


def pss_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


async def test_every_device_of_the_list_serves_in_a_session_of_its_own(devices: Devices) -> None:
    done = devices.start()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "".join(f"{name}: serving\n" for name in devices.names)
    for name in devices.names:
        client = NbdClient(devices.folder / f"{name}.nbd")
        client.write(0, name.encode() * 256)
        client.flush()
        assert client.read(0, 512) == name.encode() * 256
        client.close()
        pid = await devices.pid(name)
        assert os.getsid(pid) == pid


async def test_a_device_that_died_is_started_again_and_the_others_are_left_alone(devices: Devices) -> None:
    devices.start()
    pids = [await devices.pid(name) for name in devices.names]
    os.kill(pids[2], signal.SIGKILL)
    done = devices.start()
    assert done.returncode == 0
    again = [await devices.pid(name) for name in devices.names]
    assert [old == new for old, new in zip(pids, again, strict=True)] == [True, True, False, True, True]


def test_one_that_cannot_start_says_why_and_keeps_none_of_the_others(devices: Devices) -> None:
    os.truncate(devices.pairs["d1"].ldev, 0)
    done = devices.start()
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[1].startswith("d1: ") and "d1/ldev" in lines[1] and "wdevc format-ldev" in lines[1]
    assert [line for number, line in enumerate(lines) if number != 1] == [
        f"{name}: serving" for name in devices.names if name != "d1"
    ]


def test_devices_of_a_list_share_their_memory(devices: Devices, tmp_path_factory: pytest.TempPathFactory) -> None:
    devices.start()
    pair = Pair(tmp_path_factory.mktemp("alone"))
    words = ("-n", "vol", "-ldev", pair.ldev, "-ddev", pair.ddev, "-s", pair.folder)
    with subprocess.Popen([sys.executable, "-m", "walbd.device.main", *words], stderr=subprocess.DEVNULL) as alone:
        try:
            wait_until((pair.folder / "vol.ctl").exists, BOUND_SEC, "the device")
            assert pss_kib(asyncio.run(devices.pid("d3"))) < 0.7 * pss_kib(alone.pid)
        finally:
            alone.terminate()


def context_switches(pid: int) -> int:
    """How often its threads have gone to sleep or been interrupted."""
    return sum(
        int(line.split()[1])
        for status in Path(f"/proc/{pid}/task").glob("*/status")
        for line in status.read_text().splitlines()
        if "ctxt_switches" in line
    )


async def test_devices_that_have_nothing_to_do_do_nothing(devices: Devices) -> None:
    devices.start()
    for name in devices.names:
        with NbdClient(devices.folder / f"{name}.nbd") as client:
            client.write(0, b"x" * 512)
            client.flush()
        device = UserDevice(devices.folder / f"{name}.ctl")
        while (lsids := await device.lsids()).prev_written < lsids.latest:
            await device.take_checkpoint()
        await device.close()
    idle = [await devices.pid(name) for name in devices.names[1:]]
    # What lasts a while is that another device has nothing to tell.
    another = UserDevice(devices.folder / "d0.ctl")
    await another.wait(await another.lsids(), 0.2)
    before = [context_switches(pid) for pid in idle]
    await another.wait(await another.lsids(), 0.5)
    assert [context_switches(pid) for pid in idle] == before
    await another.close()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("-n a -ldev l\n", "devices:1: opt is necessary:ddev (hint: write -n NAME"),
        ("# x\n-n a/b -ldev l -ddev d\n", "devices:2: "),
        ("-n a -ldev l -ddev d -on-full x\n", "devices:1: -on-full x is unknown"),
        ("-n a -ldev l -ddev d\n-n a -ldev l2 -ddev d2\n", "devices:2: device a is there already"),
        ("-n 'a\n", "devices:1: No closing quotation"),
    ],
)
def test_a_wrong_line_is_named_and_nothing_is_started(devices: Devices, text: str, message: str) -> None:
    devices.list.write_text(text)
    done = devices.start()
    assert done.returncode == 1
    assert done.stderr.startswith("walb-device: error: ") and message in done.stderr
    assert not list(devices.folder.glob("*.ctl"))


def test_a_list_that_is_not_there_is_an_error(devices: Devices) -> None:
    devices.list.unlink()
    done = devices.start()
    assert (done.returncode, done.stdout) == (1, "")
    assert "devices: No such file" in done.stderr
