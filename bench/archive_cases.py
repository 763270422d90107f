"""Figures of the archive alone, on tmpfs unless it says otherwise."""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.archive_base import (
    BEGIN_SEC,
    UUID,
    VOLUME,
    ArchiveServer,
    diff_at,
    link_diffs,
    make_volume,
    new_server,
    serving,
)
from bench.format_inputs import write_diffs
from bench.harness import RUNS, Figure, absolute, median_pair, ratio, timed
from demo.group import BIN
from walbd.model.compression import CompressOpt
from walbd.model.snapshot import Snapshot
from walbd.model.state import MetaState
from walbd.net.client import connect
from walbd.net.handshake import Identity
from walbd.net.messages import PeerKind
from walbd.net.wdiff_transfer import COMMAND, Answer, WdiffRequest, WdiffSender
from walbd.wdiff.merge import Merger, merge_to_file
from walbd.world.world import World

FEW, MANY = 1_000, 100_000
GROWTH = MANY // FEW
IMAGE_BYTES = 4 << 30
PLAIN = CompressOpt.parse("none:0:2")
RECEIVES = 40


async def send_diffs(server: ArchiveServer, paths: list[Path], first_gid: int, image_bytes: int) -> list[float]:
    """Sends files as the diffs from a gid on, as a proxy does; returns the seconds of each."""
    world, times = World(), []
    for gid, path in enumerate(paths, first_gid):
        begin_sec = time.perf_counter()
        async with await connect(world, server.address, COMMAND, Identity("p0", PeerKind.PROXY)) as connection:
            sender = WdiffSender(connection)
            request = WdiffRequest(PeerKind.PROXY, VOLUME, UUID, image_bytes // 512, diff_at(gid))
            answer = await sender.ask(request)
            assert answer is Answer.ACCEPT, answer
            merger = await world.run(Merger, [path], PLAIN)
            try:
                await sender.send_packs(merger.read)
            finally:
                merger.close()
        times.append(time.perf_counter() - begin_sec)
    return times


class Many:
    """Figures of an archive with a number of small wdiffs in one volume."""

    def __init__(self, folder: Path, count: int, small: Path) -> None:
        files = make_volume(folder, IMAGE_BYTES)
        link_diffs(files, [small] * count)
        server = new_server(folder)
        self.start_sec = statistics.median(self._start_sec(server) for _ in range(RUNS))
        with serving(folder) as server:
            self.pss_bytes = server.pss_bytes()
            asked = [timed(lambda: server.walbc("get", "restorable", VOLUME)) for _ in range(RUNS)]
            self.restorable_sec = statistics.median(asked)
            received = asyncio.run(send_diffs(server, [small] * RECEIVES, count, IMAGE_BYTES))
            self.receive_sec = statistics.median(received)
            applying = subprocess.Popen([sys.executable, "-m", "walbc", "-a", "127.0.0.1", "-p", str(server.port),
                                         "apply", VOLUME, str(count), "--wait"])  # fmt: skip
            self.open_files = 0
            while applying.poll() is None:
                self.open_files = max(self.open_files, len(os.listdir(server.proc / "fd")))
            assert applying.returncode == 0

    def _start_sec(self, server: ArchiveServer) -> float:
        def start() -> None:
            server.start()
            server.wait_ready()

        elapsed = timed(start)
        server.stop()
        return elapsed


def many_wdiffs(folder: Path) -> Iterator[Figure]:
    """100,000 wdiffs in one volume against 1,000."""
    (small,) = write_diffs(folder, "compressible", 1, 64 << 10, "none:0:2")
    few, many = Many(folder / "few", FEW, small), Many(folder / "many", MANY, small)
    yield ratio(f"archive start, {MANY} wdiffs / {FEW}", 1.2 * GROWTH, many.start_sec, few.start_sec)
    yield ratio(f"get restorable, {MANY} wdiffs / {FEW}", 1.2 * GROWTH, many.restorable_sec, few.restorable_sec)
    yield ratio(f"wdiff receive beside {MANY} wdiffs / {FEW}", 1.5, many.receive_sec, few.receive_sec)
    memory_kib = (many.pss_bytes - few.pss_bytes) / (MANY - FEW) / 1024
    yield absolute("archive memory per wdiff", 1, memory_kib, "KiB")
    yield absolute(f"files open while {MANY} wdiffs are applied", 256, many.open_files, "")


def apply_many(folder: Path) -> Iterator[Figure]:
    """50 wdiffs over a 4 GiB plain image, against one merged wdiff with wdiff-redo."""
    paths = write_diffs(folder, "incompressible", 50, 20 << 20, "none:0:2")
    merged, image = folder / "merged", folder / "image"
    with open(merged, "w+b") as out:
        merge_to_file(paths, out.fileno(), PLAIN)
    base = folder / "base"
    files = make_volume(base, IMAGE_BYTES)
    shutil.copyfile(files.path / f"wb_{VOLUME}", image)

    def redo() -> float:
        return timed(lambda: subprocess.run([BIN / "wdiff-redo", "-i", merged, image], check=True, capture_output=True))

    with serving(base, "-allow-dbg") as server:

        def apply() -> float:
            files.save_base(MetaState(Snapshot.clean(0), timestamp=BEGIN_SEC))
            link_diffs(files, paths)
            server.walbc("dbg-reload-metadata", VOLUME)
            return timed(lambda: server.walbc("apply", VOLUME, len(paths), "--wait"))

        ours, other = median_pair(apply, redo)
    yield ratio("apply of 50 wdiffs / of one merged wdiff", 1.2, ours, other)


def receive(folder: Path) -> Iterator[Figure]:
    """Wdiffs from a peer, against plain TCP and a file write with one fsync for each."""
    paths = write_diffs(folder, "incompressible", 16, 16 << 20, "none:0:2")
    base = folder / "base"
    make_volume(base, IMAGE_BYTES)
    gid = 0

    def ours() -> float:
        nonlocal gid
        elapsed = timed(lambda: asyncio.run(send_diffs(server, paths, gid, IMAGE_BYTES)))
        gid += len(paths)
        server.walbc("apply", VOLUME, gid, "--wait")
        return elapsed

    def plain() -> float:
        command = [sys.executable, "-m", "bench.pump", *map(str, paths), str(folder / "pumped")]
        return timed(lambda: subprocess.run(command, check=True))

    with serving(base) as server:
        received, pumped = median_pair(ours, plain)
    yield ratio("wdiff receive: rate / plain TCP and fsync", 0.5, received, pumped, better="higher")


@contextmanager
def xfs(folder: Path) -> Iterator[Path]:
    """A file system with reflinks."""
    device, place = folder / "xfs.img", folder / "xfs"
    with open(device, "wb") as file:
        file.truncate(2 << 30)
    place.mkdir()
    subprocess.run(["mkfs.xfs", "-q", "-m", "reflink=1", device], check=True)
    subprocess.run(["mount", "-o", "loop", device, place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def restore_growth(folder: Path) -> Iterator[Figure]:
    """Bytes read and written to restore the same changes of a small and a large volume, with reflinks."""
    paths = write_diffs(folder, "incompressible", 100, 256 << 10, "none:0:2")
    moved = []
    with xfs(folder) as place:
        for image_bytes in (64 << 30, 4 << 30):
            base = place / str(image_bytes)
            files = make_volume(base, image_bytes)
            for gid, path in enumerate(paths):
                shutil.copyfile(path, files.diff_path(diff_at(gid)))
            with serving(base) as server:
                before = server.io_bytes()
                server.walbc("restore", VOLUME, len(paths), "--wait")
                moved.append((server.io_bytes() - before) / (1 << 20))
    yield ratio("restore of a 64 GiB volume / of 4 GiB, bytes", 1.2, moved[0], moved[1], unit="MiB")


CASES: dict[str, Callable[[Path], Iterator[Figure]]] = {
    "archive-many-wdiffs": many_wdiffs,
    "archive-apply": apply_many,
    "archive-receive": receive,
    "archive-restore-growth": restore_growth,
}
