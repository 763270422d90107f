"""A volume group made of files: `volumes.json` says what there is, `blocks/ID` are contents, `dev/NAME` leads to them.

Each command takes effect with the renaming of one file, as LVM's do with the writing of its metadata.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from walbd.image.lvm.lvm import LogicalVolume, VolumeGroup
from walbd.model.error import StorageFailure

GROUP = "vg0"
POOL = "pool"
EXTENT_BYTES = 16 << 10
STALE = b"stale content of the disk."


@dataclass
class _Volume:
    """What is stored of one."""

    block_id: int
    size_bytes: int
    origin: str = ""
    pool: str = ""
    is_active: bool = True
    is_writable: bool = True
    tags: list[str] = field(default_factory=list)


class SimulatedLvm:
    """Lvm over a folder."""

    group_name = GROUP

    def __init__(self, folder: Path, free_bytes: int = 1 << 30) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.free_bytes = free_bytes
        self.before: Callable[[str], None] = lambda _: None
        """Called with the name of each command that changes something, before it does."""
        self.after: Callable[[str], None] = lambda _: None
        self.data_percent = 10.0
        self.listings = 0
        self.in_use: set[str] = set()
        """Names that cannot be removed."""

    def open(self) -> None:
        self._volumes: dict[str, _Volume] = {}
        (self.folder / "blocks").mkdir(exist_ok=True)
        shutil.rmtree(self.folder / "dev", ignore_errors=True)
        (self.folder / "dev").mkdir()
        path = self.folder / "volumes.json"
        if path.exists():
            self._volumes = {name: _Volume(**fields) for name, fields in json.loads(path.read_text()).items()}
        self._show()

    def close(self) -> None:
        """Nothing runs."""

    def group(self) -> VolumeGroup:
        return VolumeGroup(GROUP, EXTENT_BYTES, self.free_bytes)

    def volumes(self, names: Collection[str] = ()) -> list[LogicalVolume]:
        self.listings += 1
        found = [
            LogicalVolume(POOL, 1 << 20, is_thin_pool=True, zeroes_new_blocks=True, data_percent=self.data_percent)
        ]
        for name, volume in self._volumes.items():
            found.append(
                LogicalVolume(
                    *(name, volume.size_bytes, volume.origin, volume.pool),
                    is_active=volume.is_active,
                    is_writable=volume.is_writable,
                    tags=frozenset(volume.tags),
                )
            )
        return [volume for volume in found if not names or volume.name in names]

    def path(self, name: str) -> Path:
        return self.folder / "dev" / name

    def create(self, name: str, size_bytes: int, tags: Iterable[str]) -> None:
        def make(volume: _Volume) -> None:
            self._block(volume).write_bytes((STALE * (volume.size_bytes // len(STALE) + 1))[: volume.size_bytes])

        self._check_room(size_bytes)
        self._add("create", name, _Volume(0, self._rounded(size_bytes), tags=list(tags)), make)

    def create_thin(self, pool: str, name: str, size_bytes: int, tags: Iterable[str]) -> None:
        volume = _Volume(0, self._rounded(size_bytes), pool=pool, tags=list(tags))
        self._add("create_thin", name, volume, lambda volume: os.truncate(self._block(volume), volume.size_bytes))

    def snapshot(self, origin: str, name: str, room_bytes: int) -> None:
        self._check_room(room_bytes)
        self._copy("snapshot", origin, name, is_writable=True)

    def snapshot_thin(self, origin: str, name: str, *, is_writable: bool) -> None:
        self._copy("snapshot_thin", origin, name, is_writable=is_writable)

    def rename(self, old: str, new: str) -> None:
        def change(volumes: dict[str, _Volume]) -> None:
            if new in volumes:
                raise StorageFailure(f'Logical Volume "{new}" already exists in volume group "{GROUP}"')
            volumes[new] = volumes.pop(old)
            for name, volume in volumes.items():
                if volume.origin == old:
                    volumes[name] = replace(volume, origin=new)

        self._commit("rename", change)

    def remove(self, name: str) -> None:
        if name in self.in_use:
            raise StorageFailure(f"Logical volume {GROUP}/{name} contains a filesystem in use.")
        gone = self._block(self._get(name))
        self._commit("remove", lambda volumes: volumes.pop(name))
        gone.unlink()

    def extend(self, name: str, size_bytes: int) -> None:
        volume = self._get(name)
        size_bytes = self._rounded(size_bytes)
        if size_bytes <= volume.size_bytes:
            raise StorageFailure("New size matches existing size")
        if not volume.pool:
            self._check_room(size_bytes - volume.size_bytes)
            with open(self._block(volume), "ab") as file:
                file.write(b"s" * (size_bytes - volume.size_bytes))
        else:
            os.truncate(self._block(volume), size_bytes)
        self._set("extend", name, size_bytes=size_bytes)

    def change_tags(self, name: str, added: Iterable[str], removed: Iterable[str]) -> None:
        self._set("change_tags", name, tags=sorted(set(self._get(name).tags) - set(removed) | set(added)))

    def set_writable(self, name: str, is_writable: bool) -> None:
        assert self._get(name).is_writable != is_writable
        self._set("set_writable", name, is_writable=is_writable)

    def activate(self, name: str) -> None:
        self._set("activate", name, is_active=True)

    def vanish(self, name: str) -> None:
        """Somebody else removes a volume."""
        self._block(self._get(name)).unlink()
        self._commit("vanish", lambda volumes: volumes.pop(name))

    def names(self) -> list[str]:
        """Of all volumes."""
        return sorted(self._volumes)

    def _get(self, name: str) -> _Volume:
        if name not in self._volumes:
            raise StorageFailure(f'Failed to find logical volume "{GROUP}/{name}"')
        return self._volumes[name]

    def _rounded(self, size_bytes: int) -> int:
        return self.group().rounded_bytes(size_bytes)

    def _check_room(self, size_bytes: int) -> None:
        if size_bytes > self.free_bytes:
            raise StorageFailure(f'Volume group "{GROUP}" has insufficient free space')

    def _block(self, volume: _Volume) -> Path:
        return self.folder / "blocks" / str(volume.block_id)

    def _copy(self, command: str, origin: str, name: str, *, is_writable: bool) -> None:
        source = self._get(origin)
        volume = _Volume(0, source.size_bytes, origin, source.pool, is_writable, is_writable)
        self._add(command, name, volume, lambda volume: self._copy_block(source, volume))

    def _copy_block(self, source: _Volume, target: _Volume) -> None:
        shutil.copyfile(self._block(source), self._block(target))

    def _add(self, command: str, name: str, volume: _Volume, make: Callable[[_Volume], None]) -> None:
        if name in self._volumes:
            raise StorageFailure(f'Logical Volume "{name}" already exists in volume group "{GROUP}"')
        ids = (int(path.name) for path in (self.folder / "blocks").iterdir())
        volume = replace(volume, block_id=max(ids, default=0) + 1)
        self._block(volume).touch()
        make(volume)
        self._commit(command, lambda volumes: volumes.update({name: volume}))

    def _set(self, command: str, name: str, **fields: Any) -> None:
        changed = replace(self._get(name), **fields)
        self._commit(command, lambda volumes: volumes.update({name: changed}))

    def _commit(self, command: str, change: Callable[[dict[str, _Volume]], object]) -> None:
        self.before(command)
        volumes = dict(self._volumes)
        change(volumes)
        new = self.folder / "volumes.new"
        new.write_text(json.dumps({name: asdict(volume) for name, volume in volumes.items()}))
        os.rename(new, self.folder / "volumes.json")
        self._volumes = volumes
        self._show()
        self.after(command)

    def _show(self) -> None:
        """Has the device nodes of the active volumes, and no others."""
        nodes = {name: volume.block_id for name, volume in self._volumes.items() if volume.is_active}
        for path in (self.folder / "dev").iterdir():
            if nodes.get(path.name) != int(os.path.basename(os.readlink(path))):
                path.unlink()
        for name, block_id in nodes.items():
            if not self.path(name).is_symlink():
                self.path(name).symlink_to(f"../blocks/{block_id}")
