"""LVM through its commands. Each runs by itself, one after the other, with a time limit; the reports are JSON."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from walbd.image.lvm import report
from walbd.image.lvm.lvm import LogicalVolume, VolumeGroup
from walbd.model.error import NotFound, StorageFailure


class Runner(Protocol):
    """Carries out LVM commands."""

    def run(self, words: Sequence[str]) -> str:
        """The report of a command. Raises StorageFailure with LVM's message."""

    def close(self) -> None:
        """Ends what was started."""


class LvmCommands:
    """Lvm by means of a Runner."""

    def __init__(self, group_name: str, make_runner: Callable[[], Runner]) -> None:
        self.group_name = group_name
        self._make_runner = make_runner
        self._runner: Runner | None = None

    def open(self) -> None:
        self._runner = self._make_runner()

    def group(self) -> VolumeGroup:
        words = ("vgs", *report.FORMAT_OPTIONS, "-o", ",".join(report.VG_FIELDS))
        for group in report.volume_groups(self._report(*words)):
            if group.name == self.group_name:
                return group
        raise NotFound(f"volume group does not exist:{self.group_name}", "'vgs' lists those there are; see -vg")

    def volumes(self, names: Collection[str] = ()) -> list[LogicalVolume]:
        words = ["lvs", *report.FORMAT_OPTIONS, "-o", ",".join(report.LV_FIELDS)]
        if names:
            # A name that is not there would be an error, a selection without result is none.
            words += ["-S", "||".join(f"lv_name={name}" for name in names)]
        return report.logical_volumes(self._report(*words, self.group_name))

    def path(self, name: str) -> Path:
        return Path("/dev", self.group_name, name)

    def create(self, name: str, size_bytes: int, tags: Iterable[str]) -> None:
        size = f"{size_bytes}b"
        self._run("lvcreate", "-n", name, "--size", size, *_options("--addtag", tags), self.group_name)

    def create_thin(self, pool: str, name: str, size_bytes: int, tags: Iterable[str]) -> None:
        size = f"{size_bytes}b"
        self._run(
            *("lvcreate", "--type", "thin", "-n", name, "--virtualsize", size),
            *_options("--addtag", tags),
            *("--thinpool", pool, self.group_name),
        )

    def snapshot(self, origin: str, name: str, room_bytes: int) -> None:
        self._run("lvcreate", "-s", "-n", name, "--size", f"{room_bytes}b", "-p", "rw", self._full(origin))

    def snapshot_thin(self, origin: str, name: str, *, is_writable: bool) -> None:
        kind = ("-kn", "-p", "rw") if is_writable else ("-ky", "-p", "r")
        self._run("lvcreate", "-s", "-n", name, *kind, self._full(origin))

    def rename(self, old: str, new: str) -> None:
        self._run("lvrename", self.group_name, old, new)

    def remove(self, name: str) -> None:
        self._run("lvremove", "-f", self._full(name))

    def extend(self, name: str, size_bytes: int) -> None:
        self._run("lvextend", "-f", "--size", f"{size_bytes}b", self._full(name))

    def change_tags(self, name: str, added: Iterable[str], removed: Iterable[str]) -> None:
        self._run("lvchange", *_options("--deltag", removed), *_options("--addtag", added), self._full(name))

    def set_writable(self, name: str, is_writable: bool) -> None:
        self._run("lvchange", *(("-p", "rw", "-kn") if is_writable else ("-p", "r", "-ky")), self._full(name))

    def activate(self, name: str) -> None:
        self._run("lvchange", "-ay", "-K", self._full(name))

    def close(self) -> None:
        if self._runner:
            self._runner.close()

    def _report(self, *words: str) -> str:
        assert self._runner
        return self._runner.run(words)

    def _run(self, command: str, *words: str) -> None:
        try:
            self._report(command, "-y", *words)
        except StorageFailure as error:
            error.hint = error.hint or f"'lvs {self.group_name}' and 'vgs {self.group_name}' show what there is"
            raise

    def _full(self, name: str) -> str:
        return f"{self.group_name}/{name}"


def _options(option: str, values: Iterable[str]) -> list[str]:
    return [word for value in values for word in (option, value)]
