"""The volumes of a daemon by name. Only init and loading make entries; merely naming a volume does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from walbd.model.error import NotFound
from walbd.model.limits import check_volume_name
from walbd.server.state_machine import CLEAR
from walbd.server.volume import Volume

V = TypeVar("V", bound=Volume)


class VolumeTable(Generic[V]):
    """Iterates in order of names."""

    def __init__(self) -> None:
        self._volumes: dict[str, V] = {}

    def find(self, name: str) -> V | None:
        """The volume of a valid name, or None. Raises InvalidArgument for a name that is not allowed."""
        return self._volumes.get(check_volume_name(name))

    def get(self, name: str) -> V:
        """The volume. Raises NotFound, with the text the reference has for a volume in state Clear."""
        volume = self.find(name)
        if volume is None:
            raise NotFound(f"bad state:{name}:{CLEAR}", f"there is no volume {name}; see 'get vol'")
        return volume

    def state(self, name: str) -> str:
        """The state of any valid name; Clear for what does not exist."""
        volume = self.find(name)
        return volume.state if volume else CLEAR

    def names(self) -> list[str]:
        """All names in order, failed volumes included."""
        return sorted(self._volumes)

    def add(self, volume: V) -> None:
        self._volumes[volume.name] = volume

    def remove(self, name: str) -> None:
        self._volumes.pop(name, None)

    def __iter__(self) -> Iterator[V]:
        return iter([self._volumes[name] for name in sorted(self._volumes)])

    def __len__(self) -> int:
        return len(self._volumes)
