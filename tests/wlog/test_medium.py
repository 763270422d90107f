"""After a failed sync the page cache may hold log that is not on the medium: it is written again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from walbd.wlog import medium
from walbd.wlog.format_ldev import format_ldev
from walbd.wlog.super_sector import SuperSector, read_super_sector

SIZE_BYTES = 10 << 20


class Log:
    """A log device, and what the journal of its file operations shows."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = folder / "ldev"
        self.path.write_bytes(b"m" * SIZE_BYTES)
        self.fd = os.open(self.path, os.O_RDWR)
        format_ldev(self.fd, 2048, "vol", pbs=512, discard=False)
        os.fsync(self.fd)
        self.sector: SuperSector = read_super_sector(self.fd)
        self.calls: list[tuple[str, int, int]] = []
        write, sync = medium.write_ring, os.fdatasync

        def noted_write(fd: int, sector: SuperSector, lsid: int, data: bytes) -> None:
            self.calls.append(("write", lsid, len(data)))
            write(fd, sector, lsid, data)

        def noted_sync(fd: int) -> None:
            self.calls.append(("sync", 0, 0))
            sync(fd)

        monkeypatch.setattr(medium, "write_ring", noted_write)
        monkeypatch.setattr(os, "fdatasync", noted_sync)

    def position(self, lsid: int) -> int:
        return (self.sector.ring_offset_pb + lsid) * 512


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Log:
    return Log(tmp_path, monkeypatch)


def test_what_is_on_the_medium_is_not_written_again(log: Log) -> None:
    os.pwrite(log.fd, b"n" * 512, log.position(3))  # dirty, and written back by the look at the medium
    medium.renew(log.fd, log.sector, 0, log.sector.ring_size_pb)
    assert log.calls == []


def test_only_the_part_that_is_not_on_the_medium_is_written_again_and_synced(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "medium").write_bytes(log.path.read_bytes())
    monkeypatch.setattr(medium, "_open_direct", lambda *_: os.open(tmp_path / "medium", os.O_RDONLY))
    os.pwrite(log.fd, b"n" * 512, log.position(8192 + 7))
    before = log.path.read_bytes()
    medium.renew(log.fd, log.sector, 100, log.sector.ring_size_pb)
    assert log.calls == [("write", 100, 4 << 20), ("sync", 0, 0)]
    assert log.path.read_bytes() == before


def test_where_the_page_cache_cannot_be_passed_by_it_is_believed(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def as_tmpfs(path: str, flags: int, *rest: int) -> int:
        if flags & os.O_DIRECT:
            raise OSError(22, "Invalid argument")
        return real(path, flags, *rest)

    monkeypatch.setattr(os, "open", as_tmpfs)
    medium.renew(log.fd, log.sector, 0, 100)
    assert log.calls == []
