"""Base directories of an archive made for figures, and an archive that serves one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demo.group import BIN, HOST, Server, free_port, run_command
from walbd.archive.states import ARCHIVED
from walbd.archive.volume_files import VolumeFiles
from walbd.model.address import Address
from walbd.model.diff import Diff
from walbd.model.snapshot import Snapshot
from walbd.model.state import MetaState
from walbd.world.files import Files

VOLUME = "vol0"
UUID = bytes(range(16))
BEGIN_SEC = 1_700_000_000


def diff_at(gid: int) -> Diff:
    """|gid|-->|gid+1|."""
    return Diff(Snapshot.clean(gid), Snapshot.clean(gid + 1), timestamp=BEGIN_SEC + gid)


def make_volume(base: Path, image_bytes: int) -> VolumeFiles:
    """A volume in Archived: a base image of holes at gid 0."""
    base.mkdir(parents=True, exist_ok=True)
    files = VolumeFiles(base / VOLUME, Files())
    files.create()
    files.save_uuid(UUID)
    files.save_archive_uuid(UUID)
    files.save_base(MetaState(Snapshot.clean(0), timestamp=BEGIN_SEC))
    with open(files.path / f"wb_{VOLUME}", "wb") as image:
        image.truncate(image_bytes)
    files.save_state(ARCHIVED)
    return files


def link_diffs(files: VolumeFiles, paths: list[Path]) -> None:
    """The files become the diffs of gid 0, 1, ... They are links: the originals stay."""
    for gid, path in enumerate(paths):
        os.link(path, files.diff_path(diff_at(gid)))


class ArchiveServer(Server):
    """A walb-archive as a real process."""

    @property
    def address(self) -> Address:
        return Address(HOST, self.port)

    @property
    def proc(self) -> Path:
        assert self.popen is not None
        return Path(f"/proc/{self.popen.pid}")

    def walbc(self, *args: object) -> str:
        """Runs walbc; returns what it prints."""
        return run_command("walbc", "-a", HOST, "-p", self.port, *args)

    def pss_bytes(self) -> int:
        """Proportional set size."""
        lines = (self.proc / "smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) << 10

    def io_bytes(self) -> int:
        """Bytes read and written so far, from and to anything."""
        fields = dict(line.split(": ") for line in (self.proc / "io").read_text().splitlines())
        return int(fields["rchar"]) + int(fields["wchar"])


def new_server(base: Path, *options: str) -> ArchiveServer:
    """An archive for a base directory, not started yet."""
    port = free_port()
    command = [str(BIN / "walb-archive"), "-b", str(base), "-p", str(port), "-bind", HOST, "-id", "a0"]
    return ArchiveServer([*command, "-l", f"{base}.log", *options], Path(f"{base}.out"), port=port)


@contextmanager
def serving(base: Path, *options: str) -> Iterator[ArchiveServer]:
    """An archive that serves a base directory."""
    server = new_server(base, *options)
    server.start()
    try:
        server.wait_ready()
        yield server
    finally:
        server.stop()
