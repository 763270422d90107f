"""Figures of continuous shipping: many volumes at once, lag of single writes, many idle volumes."""

from __future__ import annotations

import os
import resource
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.group_cases import LONG_SEC, cpu_sec, pss_mib, pump
from bench.harness import Figure, absolute, ratio, timed
from bench.idle_devices import device_name
from demo.group import HOST, Group, Process, Server, run_command, wait_until
from walbd.device.nbd_client import NbdClient
from walbd.model.address import Address
from walbd.model.lsid_gid import LsidGid
from walbd.net.blocking import call
from walbd.net.handshake import Identity
from walbd.net.messages import PeerKind
from walbd.server.volume_files import VolumeFolder
from walbd.storage.records import save_queue
from walbd.wlog.super_sector import read_super_sector
from walbd.world.files import Files

MIB = 1 << 20
VOLUMES = 16
VOLUME_BYTES = 32 * MIB
WRITE_BYTES = 16 << 10
RUNS = 3
WRITES = 60
IDLE_VOLUMES = 500
IDLE_SEC = 20
ME = Identity("bench", PeerKind.CONTROL)


def ask(server: Server, command: str, *params: str) -> list[str]:
    """A command, asked in this process: starting walbc for every look would take half a processor from the servers."""
    return call(Address(HOST, server.port), command, list(params), ME, timeout_sec=LONG_SEC, wait=True).strings


def add_volume(group: Group, number: int) -> str:
    """A device and its volume, backed up and being shipped."""
    name, device = f"vol{number}", f"w{number}"
    group.create_device(device, VOLUME_BYTES, 2 * VOLUME_BYTES)
    ask(group.storage, "init-vol", name, device)
    ask(group.archive, "init-vol", name)
    ask(group.proxy, "archive-info", "add", name, "a0", f"{HOST}:{group.archive_port}")
    ask(group.proxy, "start", name)
    ask(group.storage, "full-bkp", name)
    return name


def latest_gids(group: Group) -> dict[str, int]:
    """Of all volumes at the archive."""
    fields = [
        dict(word.split(":", 1) for word in line.split("\t")) for line in ask(group.archive, "get", "latest-snap")
    ]
    return {field["name"]: int(field["gid"]) for field in fields}


def fill(group: Group, number: int, content: bytes) -> int:
    """Fills a stopped volume's ring; returns the gid of a snapshot after it."""
    nbd = NbdClient(group.nbd_socket(f"w{number}"))
    for offset in range(0, len(content), WRITE_BYTES):
        nbd.write(offset, content[offset : offset + WRITE_BYTES])
    nbd.flush()
    nbd.close()
    return int(ask(group.storage, "snapshot", f"vol{number}")[0])


def half_compressible(size_bytes: int) -> bytes:
    """Every second kilobyte is zeros."""
    return b"".join(os.urandom(1024) + bytes(1024) for _ in range(size_bytes // 2048))


def shipping_many(folder: Path) -> Iterator[Figure]:
    """16 volumes at once, rings filled beforehand; against the plain pump of the same bytes."""
    content = half_compressible(VOLUME_BYTES)
    source = folder / "content"
    source.write_bytes(content * VOLUMES)
    with Group(folder, folder / "run") as group:
        group.start()
        names = [add_volume(group, number) for number in range(VOLUMES)]
        times, pumped = [], []
        servers = {"storage": group.storage, "proxy": group.proxy, "archive": group.archive}
        used = dict.fromkeys(servers, 0.0)
        for _ in range(RUNS + 1):
            for name in names:
                ask(group.storage, "stop", name)
            wanted = {name: fill(group, number, content) for number, name in enumerate(names)}
            before = {kind: cpu_sec(server) for kind, server in servers.items()}

            def ship(wanted: dict[str, int] = wanted) -> None:
                for name in wanted:
                    ask(group.storage, "start", name, "target")
                wait_until(
                    lambda: all(gid >= wanted[name] for name, gid in latest_gids(group).items()), LONG_SEC, "all gids"
                )

            times.append(timed(ship))
            used = {kind: cpu_sec(server) - before[kind] for kind, server in servers.items()}
            pumped.append(pump(source, folder / "pumped"))
    size_gib = VOLUMES * VOLUME_BYTES / (1 << 30)
    ours, other = statistics.median(times[1:]), statistics.median(pumped[1:])
    yield ratio("ship 16 volumes at once: rate / plain pump", 0.35, ours, other, better="higher")
    for kind, sec in used.items():
        yield absolute(f"ship 16 volumes: CPU of walb-{kind} per GiB of log", 10, sec / size_gib, "s")


def lag(folder: Path) -> Iterator[Figure]:
    """From the acknowledgement of a write until its gid can be restored, one write a second, default settings."""
    with Group(folder, folder / "run") as group:
        group.start()
        name = add_volume(group, 0)
        nbd = NbdClient(group.nbd_socket("w0"))

        def latest() -> int:
            lines = ask(group.archive, "get", "restorable", name, "all")
            return int(lines[-1].split()[0]) if lines else 0

        lags = []
        for number in range(WRITES):
            time.sleep(1)
            before = latest()
            nbd.write(number * 4096, os.urandom(4096), fua=True)
            begin = time.monotonic()
            while latest() <= before:
                time.sleep(0.002)
            lags.append(time.monotonic() - begin)
        nbd.close()
    yield absolute("lag of one write a second: median", 0.1, statistics.median(lags), "s")
    yield absolute(f"lag of one write a second: worst of {WRITES}", 0.5, max(lags), "s")


def make_idle_volumes(group: Group, count: int) -> None:
    """Volumes in Target of which everything was sent, as a storage leaves them, on devices that one program answers
    for."""
    ldev, ddev = group.socket_dir / "idle.ldev", group.socket_dir / "idle.ddev"
    for path in (ldev, ddev):
        with open(path, "wb") as file:
            file.truncate(MIB)
    run_command("wdevc", "format-ldev", ldev, ddev)
    with open(ldev, "rb") as file:
        uuid = read_super_sector(file.fileno()).uuid
    for number in range(count):
        path = group.folder / "storage" / f"vol{number}"
        path.mkdir()
        folder = VolumeFolder(Files(), path)
        save_queue(folder, [], salt=0)
        folder.save_string("path", f"/dev/walb/{device_name(number)}")
        folder.save_string("state", "Target")
        folder.save_record("done", LsidGid(0, 1, False, 1_700_000_000))
        folder.save_uuid("uuid", uuid)


def idle_many(folder: Path) -> Iterator[Figure]:
    """500 volumes on one storage and one proxy, and nothing is written."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with Group(folder, folder / "run") as group:
        make_idle_volumes(group, IDLE_VOLUMES)
        devices = Process(
            [sys.executable, "-m", "bench.idle_devices", str(group.socket_dir), str(IDLE_VOLUMES)], folder / "idle.out"
        )
        devices.start()
        group.devices["idle"] = devices
        wait_until((group.socket_dir / "ready").exists, LONG_SEC, "the devices answer")
        group.archive.start()
        group.archive.wait_ready()
        group.proxy.start()
        group.proxy.wait_ready()
        for number in range(IDLE_VOLUMES):
            ask(group.proxy, "archive-info", "add", f"vol{number}", "a0", f"{HOST}:{group.archive_port}")
            ask(group.proxy, "start", f"vol{number}")
        group.proxy.stop()
        for kind, server in (("storage", group.storage), ("proxy", group.proxy)):
            begin = time.monotonic()
            server.start()
            server.wait_ready()
            yield absolute(f"500 idle volumes: start of walb-{kind}", 5, time.monotonic() - begin, "s")
        time.sleep(15)  # first looks and first questions
        servers = {"storage": group.storage, "proxy": group.proxy}
        before = {kind: cpu_sec(server) for kind, server in servers.items()}
        time.sleep(IDLE_SEC)
        for kind, server in servers.items():
            used_sec = cpu_sec(server) - before[kind]
            yield absolute(f"500 idle volumes: CPU of walb-{kind} per second", 0.03, used_sec / IDLE_SEC, "s")
            yield absolute(f"500 idle volumes: memory of walb-{kind}", 150, pss_mib(server), "MiB")


CASES = {"shipping-16-volumes": shipping_many, "lag": lag, "idle-500-volumes": idle_many}
