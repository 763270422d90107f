"""Figures of the user-space device: rates as a share of nbdkit's `file` plugin on the same disk, and redo against cp.

Working set 1 GiB, written before, no holes. Each run's rate counts the flush at its end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.content import write_random
from bench.harness import Figure, absolute, median_pair, ratio, timed
from bench.synced_writer import synced_writes
from demo.group import BIN, run_command, wait_until
from walbd.device.control import CONTROL_SUFFIX
from walbd.device.nbd_client import NbdClient
from walbd.device.user_device import UserDevice
from walbd.model.limits import LB_BYTES
from walbd.wlog.format_ldev import format_ldev

SIZE_BYTES = 1 << 30
# The reserved bytes and the super sector behind them.
HEAD_BYTES = 8 << 10
RUN_SEC = 20
START_SEC = 120.0
MEMORY_GOAL_MIB = 96
N_IDLE = 100
IDLE_BYTES = 1 << 20
NAME = "w0"
# libnbd's module is installed for the system's Python only.
SYSTEM_PYTHON = "/usr/bin/python3"
LOAD_PROGRAMS = ("nbdkit", "fio", SYSTEM_PYTHON)
DISK = Path(__file__).resolve().parent.parent / "build"


class Ours:
    """walb-device on a pair of files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ldev, self.ddev, self.socket = folder / "ldev", folder / "ddev", folder / f"{NAME}.nbd"
        self.memory_mib = 0.0

    def format(self, log_bytes: int = SIZE_BYTES) -> None:
        """New pair, all of it written."""
        for path, size_bytes in ((self.ldev, log_bytes), (self.ddev, SIZE_BYTES)):
            write_random(path, size_bytes)
        run_command("wdevc", "format-ldev", self.ldev, self.ddev, "-n", NAME, "-pbs", 512, "-nd")

    def start(self) -> subprocess.Popen[bytes]:
        """Returns when it serves."""
        options = ("-n", NAME, "-ldev", self.ldev, "-ddev", self.ddev, "-s", self.folder)
        process = subprocess.Popen([BIN / "walb-device", *options], stderr=subprocess.DEVNULL)
        wait_until((self.folder / f"{NAME}.ctl").exists, START_SEC, "the device server")
        return process

    def wdevc(self, command: str, *words: object) -> None:
        """A command on the device."""
        run_command("wdevc", command, self.folder / f"{NAME}.ctl", *words)

    @contextlib.contextmanager
    def running(self) -> Iterator[Path]:
        """A freshly started server's socket; the most memory it took is noted."""
        process = self.start()
        try:
            yield self.socket
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            peak_kib = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
            self.memory_mib = max(self.memory_mib, peak_kib / 1024)
        finally:
            process.terminate()
            process.wait()


@contextlib.contextmanager
def nbdkit(path: Path) -> Iterator[Path]:
    """nbdkit's file plugin; its socket."""
    socket = path.with_suffix(".sock")
    process = subprocess.Popen(["nbdkit", "-f", "-U", socket, "file", path])
    try:
        wait_until(socket.exists, START_SEC, "nbdkit")
        yield socket
    finally:
        process.terminate()
        process.wait()
        socket.unlink(missing_ok=True)


def fio(socket: Path, *options: str) -> float:
    """Requests a second."""
    words = [f"--uri=nbd+unix:///?socket={socket}", f"--size={SIZE_BYTES}", "--time_based", f"--runtime={RUN_SEC}"]
    command = ["fio", "--name=load", "--ioengine=nbd", *words, "--end_fsync=1", "--output-format=json", *options]
    began = time.monotonic()
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    elapsed = time.monotonic() - began
    (job,) = json.loads(output[output.index("{") :])["jobs"]
    return float(job["read"]["total_ios"] + job["write"]["total_ios"]) / elapsed


def fua_writes(socket: Path, in_flight: int) -> float:
    """Requests a second."""
    program = Path(__file__).with_name("fua_writer.py")
    words = [str(word) for word in (SYSTEM_PYTHON, program, socket, SIZE_BYTES, in_flight, RUN_SEC)]
    return float(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def load(*options: str) -> Callable[[Path], float]:
    """A load of fio."""
    return lambda socket: fio(socket, *options)


SEQUENTIAL_WRITE = load("--rw=write", "--bs=1m", "--iodepth=8")
RANDOM_WRITE = load("--rw=randwrite", "--bs=4k", "--iodepth=32")
LOADS: dict[str, tuple[Callable[[Path], float], float]] = {
    "4 KiB random write, 32 in flight": (RANDOM_WRITE, 0.9),
    "4 KiB write, 1 in flight": (load("--rw=randwrite", "--bs=4k", "--iodepth=1"), 0.6),
    "4 KiB FUA, 1 in flight": (lambda socket: fua_writes(socket, 1), 0.7),
    "4 KiB FUA, 32 in flight": (lambda socket: fua_writes(socket, 32), 1.5),
    "1 MiB sequential write, 8 in flight": (SEQUENTIAL_WRITE, 0.9),
    "4 KiB cached random read, 32 in flight": (load("--rw=randread", "--bs=4k", "--iodepth=32"), 1.3),
    "1 MiB sequential read": (load("--rw=read", "--bs=1m", "--iodepth=8"), 1.0),
}


def compare(folder: Path, loads: dict[str, tuple[Callable[[Path], float], float]], where: str) -> Iterator[Figure]:
    """Each load on both servers, every run on a server of its own."""
    ours, plain = Ours(folder), folder / "plain"
    ours.format()
    write_random(plain, SIZE_BYTES)
    for name, (run, goal) in loads.items():

        def on_ours(run: Callable[[Path], float] = run) -> float:
            with ours.running() as socket:
                return 1e6 / run(socket)

        def on_nbdkit(run: Callable[[Path], float] = run) -> float:
            with nbdkit(plain) as socket:
                return 1e6 / run(socket)

        yield ratio(f"{name}, {where}: rate / nbdkit", goal, *median_pair(on_ours, on_nbdkit), "higher", "us")
    yield absolute(f"walb-device, {where}: most memory", MEMORY_GOAL_MIB, ours.memory_mib, "MiB")


def compare_synced(folder: Path) -> Iterator[Figure]:
    """nbdkit leaves all syncing to the end, which a walb device cannot: what its order of writing costs here."""
    ours, log = Ours(folder), folder / "log"
    write_random(log, SIZE_BYTES)

    def on_ours() -> float:
        with ours.running() as socket:
            return 1e6 / SEQUENTIAL_WRITE(socket)

    pair = median_pair(on_ours, lambda: 1e6 / synced_writes(log, folder / "plain", SIZE_BYTES, RUN_SEC))
    yield ratio("1 MiB sequential write, disk: rate / a plain program in the same order", 0.9, *pair, "higher", "us")


@contextlib.contextmanager
def on_disk() -> Iterator[Path]:
    """A folder on the disk the project lies on."""
    DISK.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="walb-bench-", dir=DISK))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def device_on_disk(_: Path) -> Iterator[Figure]:
    """All loads on the disk."""
    with on_disk() as folder:
        yield from compare(folder, LOADS, "disk")
        yield from compare_synced(folder)


def device_on_tmpfs(folder: Path) -> Iterator[Figure]:
    """The load that shows the processor's share."""
    yield from compare(folder, {"4 KiB random write, 32 in flight": (RANDOM_WRITE, 0.7)}, "tmpfs")


def fill_ring(ours: Ours) -> None:
    """A ring that holds 1 GiB of dirty log (the device takes a checkpoint when half of a ring is), of a server that was
    killed."""
    process = ours.start()
    ours.wdevc("set-checkpoint-interval", 0)
    client = NbdClient(ours.socket)
    data = os.urandom(64 << 10)
    for number in range(SIZE_BYTES // len(data)):
        client.write(number * 7919 * len(data) % SIZE_BYTES, data)
    client.flush()
    process.send_signal(signal.SIGKILL)
    process.wait()
    client.close()


def redo_sec(ours: Ours, head: bytes) -> float:
    """From the start of a server on the dirty log until it serves. All that a redo changes of the log device is the
    super sector, in its head."""
    with open(ours.ldev, "r+b") as ldev:
        ldev.write(head)
        os.fsync(ldev.fileno())
    (ours.folder / f"{NAME}.ctl").unlink(missing_ok=True)
    processes = []
    elapsed = timed(lambda: processes.append(ours.start()))
    processes[0].kill()
    processes[0].wait()
    return elapsed


def copy_sec(source: Path, target: Path) -> float:
    """cp and fsync."""
    target.unlink(missing_ok=True)

    def copy() -> None:
        subprocess.run(["cp", "--sparse=never", source, target], check=True)
        with open(target, "rb") as file:
            os.fsync(file.fileno())

    return timed(copy)


def redo(_: Path) -> Iterator[Figure]:
    """Redo of a dirty ring at start."""
    with on_disk() as folder:
        ours = Ours(folder)
        ours.format(2 * SIZE_BYTES + (256 << 20))
        fill_ring(ours)
        with open(ours.ldev, "rb") as ldev:
            head = ldev.read(HEAD_BYTES)
        pair = median_pair(lambda: redo_sec(ours, head), lambda: copy_sec(ours.ddev, folder / "copy"))
        yield ratio("redo of 1 GiB of dirty log at start / cp of as much, both synced", 1.5, *pair)


class IdleDevices:
    """Many walb-devices of one list, on which nothing happens."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.pids: list[int] = []

    def start(self) -> None:
        """Formats and starts them."""
        lines = []
        for number in range(N_IDLE):
            ldev, ddev = self._folder / f"l{number}", self._folder / f"d{number}"
            for path in (ldev, ddev):
                path.touch()
                os.truncate(path, IDLE_BYTES)
            with open(ldev, "r+b") as file:
                format_ldev(file.fileno(), IDLE_BYTES // LB_BYTES, f"i{number}")
            lines.append(f"-n i{number} -ldev {ldev} -ddev {ddev}\n")
        devices = self._folder / "devices"
        devices.write_text("".join(lines))
        run_command("walb-device", "-list", devices, "-s", self._folder)
        self.pids = asyncio.run(self._find())

    async def _find(self) -> list[int]:
        pids = []
        for number in range(N_IDLE):
            device = UserDevice(self._folder / f"i{number}{CONTROL_SUFFIX}")
            pids.append(await device.server_pid())
            await device.close()
        return pids

    def stop(self) -> None:
        """Cleanly."""
        for pid in self.pids:
            os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not list(self._folder.glob("*" + CONTROL_SUFFIX)), START_SEC, "the end of idle devices")

    def memory_mib(self) -> float:
        """Proportional set size of one."""
        return sum(_proportional_kib(pid) for pid in self.pids) / 1024 / N_IDLE

    def processor_sec(self) -> float:
        """What all threads of all have used."""
        return sum(
            int(stat.read_text().split()[0]) / 1e9
            for pid in self.pids
            for stat in Path(f"/proc/{pid}/task").glob("*/schedstat")
        )


def _proportional_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def idle(folder: Path) -> Iterator[Figure]:
    """What many devices cost while nothing happens."""
    devices = IdleDevices(folder)
    try:
        devices.start()
        before, began = devices.processor_sec(), time.monotonic()
        time.sleep(RUN_SEC)
        used = (devices.processor_sec() - before) / (time.monotonic() - began) / N_IDLE
        name = f"each of {N_IDLE} idle devices"
        yield absolute(f"{name}: memory (PSS)", 15, devices.memory_mib(), "MiB")
        yield absolute(f"{name}: processor time per second", 1, used * 1000, "ms")
    finally:
        devices.stop()


CASES = {"device-disk": device_on_disk, "device-tmpfs": device_on_tmpfs, "device-redo": redo, "device-idle": idle}
