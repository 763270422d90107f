"""Figures of a whole backup group on loopback, everything on tmpfs."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.content import file_system_blocks, write_file_system, write_random
from bench.harness import Figure, absolute, median_pair, ratio, timed
from demo.group import HOST, Group, Process, wait_until
from tests.system.relay import Relay
from walbd.device.nbd_client import NbdClient
from walbd.model.address import Address
from walbd.model.limits import DEFAULT_BULK_BYTES
from walbd.net.blocking import call
from walbd.net.handshake import Identity
from walbd.net.messages import PeerKind
from walbd.wdiff.hashes import Algorithm, hash_chunks

VOLUME = "vol0"
DEVICE = "w0"
WRITE_BYTES = 64 << 10
LONG_SEC = 120.0


def copy(source: Path, target: Path) -> float:
    """cp of a whole file to a new one."""
    target.unlink(missing_ok=True)
    return timed(lambda: subprocess.run(["cp", "--sparse=never", source, target], check=True))


def pump(source: Path, target: Path) -> float:
    """The plain pump of bench/pump.py."""
    target.unlink(missing_ok=True)
    return timed(lambda: subprocess.run([sys.executable, "-m", "bench.pump", source, target], check=True))


def set_up(group: Group, size_bytes: int, log_bytes: int) -> None:
    """Device, servers and volume, ready for a full backup."""
    group.create_device(DEVICE, size_bytes, log_bytes)
    group.start()
    group.walbc(group.storage, "init-vol", VOLUME, DEVICE)
    group.walbc(group.archive, "init-vol", VOLUME)
    group.walbc(group.proxy, "archive-info", "add", VOLUME, "a0", f"{HOST}:{group.archive_port}")
    group.walbc(group.proxy, "start", VOLUME)


def back_to_sync_ready(group: Group) -> None:
    """Undoes a full backup on both sides."""
    group.walbc(group.storage, "stop", VOLUME, "--wait")
    group.walbc(group.storage, "reset-vol", VOLUME)
    group.walbc(group.archive, "stop", VOLUME, "--wait")
    group.walbc(group.archive, "reset-vol", VOLUME)


def full_backup_sec(group: Group) -> float:
    """From the request until the storage is in Target."""
    elapsed = timed(lambda: group.walbc(group.storage, "full-bkp", VOLUME, "--wait"))
    back_to_sync_ready(group)
    return elapsed


def full_backup(folder: Path, name: str, fill: Callable[[Path, int], None], goal: float) -> Figure:
    """Full backup of 1 GiB against cp of the same file."""
    size_bytes = 1 << 30
    with Group(folder, folder / "run") as group:
        set_up(group, size_bytes, 64 << 20)
        source = folder / f"{DEVICE}.ddev"
        fill(source, size_bytes)
        ours, other = median_pair(lambda: full_backup_sec(group), lambda: copy(source, folder / "copy"))
    return ratio(f"full backup of 1 GiB, {name} / cp", goal, ours, other)


def local_hashes_sec(*images: Path) -> float:
    """Hashes the images one after the other with both cores, as a hash backup's two sides do at the same time."""

    def hash_all() -> None:
        for image in images:
            with image.open("rb") as file:
                chunks = hash_chunks(file.fileno(), DEFAULT_BULK_BYTES, 0, image.stat().st_size, Algorithm.BLAKE3)
                deque(chunks, maxlen=0)

    return timed(hash_all)


def hash_backup_sec(group: Group) -> float:
    """From the request until the storage is in Target, of a volume that the archive has already."""
    group.walbc(group.storage, "stop", VOLUME, "--wait")
    group.walbc(group.storage, "reset-vol", VOLUME)
    return timed(lambda: group.walbc(group.storage, "hash-bkp", VOLUME, "--wait"))


def hash_backup(folder: Path) -> Iterator[Figure]:
    """Hash backup of 1 GiB that has not changed, against cp, and against hashing alone; what travels."""
    size_bytes = 1 << 30
    # Both ends through one relay, which counts.
    relay = Relay()
    with Group(folder, folder / "run", {"storage": ["-archive", f"{HOST}:{relay.port}"]}) as group:
        relay.target_port = group.archive_port
        set_up(group, size_bytes, 64 << 20)
        source = folder / f"{DEVICE}.ddev"
        write_random(source, size_bytes)
        group.walbc(group.storage, "full-bkp", VOLUME, "--wait")
        (image,) = folder.rglob(f"wb_{VOLUME}")
        before = sum(relay.passed.values())
        hash_backup_sec(group)
        sent_bytes = sum(relay.passed.values()) - before

        def others() -> float:
            hashed.append(local_hashes_sec(source, image))
            return copy(source, folder / "copy")

        hashed: list[float] = []
        ours, copied = median_pair(lambda: hash_backup_sec(group), others)
        plain = sorted(hashed[1:])[len(hashed[1:]) // 2]
    yield ratio("hash backup of 1 GiB, unchanged / cp", 1.0, ours, copied)
    yield ratio("hash backup of 1 GiB, unchanged / hashing both images", 1.3, ours, plain)
    yield absolute("hash backup of 1 GiB, unchanged: network bytes", 0.1, 100 * sent_bytes / size_bytes, "%")


def fill_ring(group: Group, content: bytes) -> int:
    """Writes the content in 64 KiB writes while the volume is stopped; returns the gid of a snapshot after it."""
    nbd = NbdClient(group.nbd_socket(DEVICE))
    for offset in range(0, len(content), WRITE_BYTES):
        nbd.write(offset, content[offset : offset + WRITE_BYTES])
    nbd.flush()
    nbd.close()
    return int(group.walbc(group.storage, "snapshot", VOLUME))


def latest_gid(group: Group) -> int:
    """The gid of the archive's latest snapshot, asked in this process: starting walbc for every look would take half a
    processor from the servers."""
    archive, me = Address(HOST, group.archive_port), Identity("bench", PeerKind.CONTROL)
    (line,) = call(archive, "get", ["latest-snap", VOLUME], me, timeout_sec=LONG_SEC).strings
    return int(dict(word.split(":", 1) for word in line.split("\t"))["gid"])


def ship_sec(group: Group, content: bytes) -> float:
    """From `start` until the archive has the last gid."""
    group.walbc(group.storage, "stop", VOLUME, "--wait")
    gid = fill_ring(group, content)

    def ship() -> None:
        group.walbc(group.storage, "start", VOLUME, "target")
        wait_until(lambda: latest_gid(group) >= gid, LONG_SEC, f"gid {gid} at the archive")

    return timed(ship)


def shipping(folder: Path, name: str, content: bytes) -> Iterator[Figure]:
    """Shipping a ring filled beforehand, against the pump and against cp of the log."""
    with Group(folder, folder / "run") as group:
        set_up(group, len(content), len(content) + (256 << 20))
        group.walbc(group.storage, "full-bkp", VOLUME, "--wait")
        source = folder / "content"
        source.write_bytes(content)

        def others() -> float:
            pumped.append(pump(source, folder / "pumped"))
            return copy(source, folder / "copy")

        pumped: list[float] = []
        ours, copied = median_pair(lambda: ship_sec(group, content), others)
        plain = sorted(pumped[1:])[len(pumped[1:]) // 2]
    size = f"{len(content) >> 20} MiB of log, {name}"
    yield ratio(f"ship {size}: rate / plain pump", 0.4, ours, plain, better="higher")
    yield ratio(f"ship {size} / cp", 4.0, ours, copied)


def cpu_sec(process: Process) -> float:
    """User and system time of a process so far."""
    assert process.popen is not None
    fields = Path(f"/proc/{process.popen.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def pss_mib(process: Process) -> float:
    """Proportional set size."""
    assert process.popen is not None
    lines = Path(f"/proc/{process.popen.pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def idle(folder: Path) -> Iterator[Figure]:
    """One volume in Target and no writes for 60 s."""
    with Group(folder, folder / "run") as group:
        set_up(group, 64 << 20, 64 << 20)
        group.walbc(group.storage, "full-bkp", VOLUME, "--wait")
        wait_until(lambda: latest_gid(group) >= 1, LONG_SEC, "the backup's log at the archive")
        servers = {"storage": group.storage, "proxy": group.proxy, "archive": group.archive}
        before = {kind: cpu_sec(server) for kind, server in servers.items()}
        time.sleep(60)
        for kind, server in servers.items():
            yield absolute(f"idle walb-{kind}: memory", 50, pss_mib(server), "MiB")
            yield absolute(f"idle walb-{kind}: CPU in 60 s", 0.3, cpu_sec(server) - before[kind], "s")


def full_backup_random(folder: Path) -> Iterator[Figure]:
    """Incompressible content."""
    yield full_backup(folder, "incompressible", write_random, 2.0)


def full_backup_file_system(folder: Path) -> Iterator[Figure]:
    """A mostly empty file system."""
    yield full_backup(folder, "mostly empty ext4 image", write_file_system, 1.2)


def shipping_random(folder: Path) -> Iterator[Figure]:
    """Incompressible content."""
    path = folder / "random"
    write_random(path, 512 << 20)
    content = path.read_bytes()
    path.unlink()
    yield from shipping(folder, "incompressible", content)


def shipping_file_system(folder: Path) -> Iterator[Figure]:
    """Blocks of a real file system."""
    yield from shipping(folder, "file system blocks", file_system_blocks(folder, 512 << 20))


CASES = {
    "full-backup-incompressible": full_backup_random,
    "full-backup-file-system": full_backup_file_system,
    "hash-backup": hash_backup,
    "shipping-incompressible": shipping_random,
    "shipping-file-system": shipping_file_system,
    "idle": idle,
}
