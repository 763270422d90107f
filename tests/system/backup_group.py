"""A backup group whose connections go through relays, and volumes whose every snapshot has an oracle."""

from __future__ import annotations

import io
import random
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, TypeVar

from demo.group import BIN, HOST, CommandFailed, Group, Process, Server, wait_until
from tests.forked import ForkedProcess, run_forked
from tests.system.relay import Relay
from walbc.main import main as walbc_main
from walbd.device.nbd_client import NbdClient

MIB = 1 << 20
ARRIVAL_SEC = 40.0
LOG_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} (DEBUG|INFO|WARNING|ERROR) .")


@dataclass
class Ended:
    """A program that has ended."""

    status: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line of a failure: exit status 1, nothing on stdout, no traceback."""
        assert self.status == 1, f"exit status {self.status}: {self.out}{self.err}"
        assert not self.out, f"stdout: {self.out}"
        lines = self.err.splitlines()
        assert len(lines) == 1, f"not one line: {self.err}"
        assert "internal error" not in lines[0], lines[0]
        return lines[0]


def run(program: str, *args: object, timeout_sec: float = 60) -> Ended:
    """Runs one of the project's programs, whatever becomes of it."""
    return Ended(*run_forked([str(BIN / program), *map(str, args)], timeout_sec))


def run_many(commands: dict[str, list[str]]) -> dict[str, Ended]:
    """Runs programs side by side; what became of each."""
    with ThreadPoolExecutor(4) as pool:
        return dict(zip(commands, pool.map(lambda words: run(*words), commands.values()), strict=True))


class Forked(Process):
    """A program whose modules are loaded already."""

    def spawn(self, out: BinaryIO) -> ForkedProcess:  # type: ignore[override]
        return ForkedProcess(self.command, out.fileno(), out.fileno())


class ForkedServer(Forked, Server):
    """A daemon whose modules are loaded already."""


class RelayedGroup(Group):
    """A group in which every connection between daemons can be broken: `to_archive` (full backup), `to_proxy` (logs),
    `from_proxy` (diffs)."""

    process_type = Forked
    server_type = ForkedServer

    def __init__(self, folder: Path, socket_dir: Path, options: dict[str, list[str]] | None = None) -> None:
        self.to_archive, self.to_proxy, self.from_proxy = Relay(), Relay(), Relay()
        options = dict(options or {})
        peers = ["-archive", f"{HOST}:{self.to_archive.port}", "-proxy", f"{HOST}:{self.to_proxy.port}"]
        options["storage"] = [*peers, *options.get("storage", [])]
        super().__init__(folder, socket_dir, options)
        self.to_archive.target_port = self.from_proxy.target_port = self.archive_port
        self.to_proxy.target_port = self.proxy_port
        self._count = 0

    @property
    def relays(self) -> tuple[Relay, ...]:
        """All three."""
        return self.to_archive, self.to_proxy, self.from_proxy

    @property
    def servers(self) -> tuple[Server, ...]:
        """All three."""
        return self.storage, self.proxy, self.archive

    def ask(self, server: Server, *args: object) -> Ended:
        """walbc against a server, whatever becomes of it. The program runs in this process: starting Python a thousand
        times would take most of the tests' time."""
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
        with redirect_stdout(out), redirect_stderr(err):
            status = walbc_main(["-a", server.host, "-p", str(server.port), *map(str, args)])
        return Ended(status, *(stream.buffer.getvalue().decode() for stream in (out, err)))

    def walbc(self, server: Server, *args: object) -> str:
        """walbc against a server; returns its stdout."""
        done = self.ask(server, *args)
        if done.status:
            raise CommandFailed(f"walbc {' '.join(map(str, args))}: {done.err.strip()}")
        return done.out

    def wdevc(self, *args: object) -> str:
        """wdevc; returns its stdout."""
        done = run("wdevc", *args)
        if done.status:
            raise CommandFailed(f"wdevc {' '.join(map(str, args))}: {done.err.strip()}")
        return done.out

    def begin(self, server: Server, *args: object) -> subprocess.Popen[str]:
        """walbc in the background."""
        command = [str(BIN / "walbc"), "-a", server.host, "-p", str(server.port), *map(str, args)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def state(self, server: Server, name: str) -> str:
        """`get state`."""
        return self.walbc(server, "get", "state", name).strip()

    def wait_state(self, server: Server, name: str, state: str, timeout_sec: float = 20) -> None:
        """Until the volume is in a state."""
        wait_until(lambda: self.state(server, name) == state, timeout_sec, f"{name} is {state}")

    def log_of(self, server: Server) -> str:
        """What a server has logged."""
        path = self.folder / f"{server.command[server.command.index('-id') + 1]}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def restart(self, server: Server) -> None:
        """Starts a server that has ended."""
        server.start()
        server.wait_ready()

    def volume(self, seed: int, **sizes: int) -> BackedUpVolume:
        """A device with a new name and its volume, known to all three servers, the proxy started."""
        self._count += 1
        volume = BackedUpVolume(self, f"vol{self._count}", f"dev{self._count}", random.Random(seed), **sizes)
        volume.create()
        return volume

    def check_logs(self) -> None:
        """Each line of each log is a record, and none tells of a defect of the program."""
        for path in self.folder.glob("*.log"):
            for line in path.read_text().splitlines():
                assert LOG_LINE.match(line), f"{path.name}: {line!r}"
                assert "internal error" not in line, f"{path.name}: {line}"
        for path in self.folder.glob("?0.out"):
            assert "Traceback" not in path.read_text(errors="replace"), path.read_text(errors="replace")

    def stop(self) -> None:
        """Stops processes and relays."""
        for relay in self.relays:
            relay.heal()
        super().stop()
        for relay in self.relays:
            relay.close()


G = TypeVar("G", bound=RelayedGroup)


@contextmanager
def running_group(kind: type[G], options: dict[str, list[str]], prefix: str = "walb-t-") -> Iterator[G]:
    """A started group, in a folder with a short path, as Unix sockets need it; its logs must tell of no defect."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    group = kind(folder, folder / "run", options)
    try:
        group.start()
        yield group
        group.check_logs()
    finally:
        group.stop()
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class BackedUpVolume:
    """A volume, what its device must contain now, and what it contained at each snapshot."""

    group: RelayedGroup
    name: str
    device: str
    random: random.Random
    size_bytes: int = 4 * MIB
    log_bytes: int = 8 * MIB
    content: bytearray = field(default_factory=bytearray, repr=False)
    snapshots: dict[int, bytes] = field(default_factory=dict, repr=False)
    _nbd: NbdClient | None = field(default=None, repr=False)

    @property
    def nbd(self) -> NbdClient:
        """The connection to the device."""
        if self._nbd is None:
            self._nbd = NbdClient(self.group.nbd_socket(self.device))
        return self._nbd

    def disconnect(self) -> None:
        """Leaves the device."""
        if self._nbd is not None:
            self._nbd.close()
            self._nbd = None

    def create(self) -> None:
        """Device, and the volume at the three servers."""
        group = self.group
        group.create_device(self.device, self.size_bytes, self.log_bytes)
        self.content = bytearray(self.size_bytes)
        group.walbc(group.storage, "init-vol", self.name, self.device)
        group.walbc(group.archive, "init-vol", self.name)
        where = f"{HOST}:{group.from_proxy.port}"
        group.walbc(group.proxy, "archive-info", "add", self.name, "a0", where)
        group.walbc(group.proxy, "start", self.name)

    def write(self, total_bytes: int, unit_bytes: int = 64 << 10) -> None:
        """Random content in random places; flushed."""
        for _ in range(max(1, total_bytes // unit_bytes)):
            length = self.random.randrange(512, unit_bytes + 1, 512)
            offset = self.random.randrange(0, self.size_bytes - length + 1, 512)
            data = self.random.randbytes(length)
            self.nbd.write(offset, data)
            self.content[offset : offset + length] = data
        self.nbd.flush()

    def trim(self, offset: int, length: int) -> None:
        """Discards a range, which reads as zeros from now on."""
        self.nbd.trim(offset, length)
        self.content[offset : offset + length] = bytes(length)

    def fill(self) -> None:
        """Random content everywhere."""
        for offset in range(0, self.size_bytes, MIB):
            data = self.random.randbytes(min(MIB, self.size_bytes - offset))
            self.nbd.write(offset, data)
            self.content[offset : offset + len(data)] = data
        self.nbd.flush()

    def back_up(self) -> None:
        """A full backup, waited for."""
        self.group.walbc(self.group.storage, "full-bkp", self.name, "--wait")

    def back_up_again(self) -> None:
        """What the operator does after a failed backup: the same again. Where the archive had finished before it
        failed, its refusal says what to do first."""
        group = self.group
        group.wait_state(group.storage, self.name, "SyncReady")
        wait_until(lambda: group.state(group.archive, self.name) != "FullSync", 20, "the archive noticed the end")
        if group.state(group.archive, self.name) != "SyncReady":
            error = group.ask(group.storage, "full-bkp", self.name, "--wait").error
            assert "reset-vol" in error, error
            group.walbc(group.archive, "stop", self.name, "--wait")
            group.walbc(group.archive, "reset-vol", self.name)
        self.back_up()

    def snapshot(self) -> int:
        """A snapshot; its content is remembered."""
        gid = int(self.group.walbc(self.group.storage, "snapshot", self.name))
        self.snapshots[gid] = bytes(self.content)
        return gid

    def restorable(self) -> set[int]:
        """gids the archive can restore."""
        lines = self.group.walbc(self.group.archive, "get", "restorable", self.name, "all").splitlines()
        return {int(line.split()[0]) for line in lines}

    def wait_arrival(self, gid: int | None = None, *, kick: bool = True, timeout_sec: float = ARRIVAL_SEC) -> None:
        """Until a snapshot (the last one) can be restored."""
        wanted = max(self.snapshots) if gid is None else gid

        def is_there() -> bool:
            if wanted in self.restorable():
                return True
            if kick:
                self.group.walbc(self.group.storage, "kick")
                self.group.walbc(self.group.proxy, "kick")
            return False

        wait_until(is_there, timeout_sec, f"snapshot {wanted} of {self.name} restorable")

    def restored(self, gid: int) -> bytes:
        """What the archive makes of a snapshot; the restored volume is deleted again."""
        group = self.group
        group.walbc(group.archive, "restore", self.name, gid, "--wait")
        path = Path(group.walbc(group.archive, "get", "restored-path", self.name, gid).strip())
        content = path.read_bytes()
        group.walbc(group.archive, "del-restored", self.name, gid)
        return content

    def check_snapshots(self) -> None:
        """Every remembered snapshot is restored as it was."""
        self.wait_arrival()
        for gid, content in self.snapshots.items():
            check_same(self.restored(gid), content, f"{self.name} gid {gid}")

    def remove(self) -> None:
        """Clears the volume everywhere and ends its device, in whatever state it is."""
        group = self.group
        for relay in group.relays:
            relay.heal()
        for server in group.servers:
            if group.state(server, self.name) not in ("Clear", "Failed"):
                group.ask(server, "stop", self.name, "force", "--wait")
        if group.state(group.storage, self.name) == "Stopped":
            group.walbc(group.storage, "reset-vol", self.name)
        for server in group.servers:
            if group.state(server, self.name) != "Clear":
                group.walbc(server, "clear-vol", self.name)
        self.disconnect()
        group.devices.pop(self.device).stop()


def check_same(found: bytes, wanted: bytes, what: str) -> None:
    """Compares without printing megabytes."""
    if found == wanted:
        return
    assert len(found) == len(wanted), f"{what}: {len(found)} bytes instead of {len(wanted)}"
    first = next(i for i in range(0, len(found), 512) if found[i : i + 512] != wanted[i : i + 512])
    raise AssertionError(f"{what}: differs from byte {first} on: {found[first : first + 16].hex()}")
