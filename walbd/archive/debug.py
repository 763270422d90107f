"""dbg-reload-metadata, dbg-set-uuid, dbg-set-state, dbg-set-base: for who repairs a folder by hand (-allow-dbg).

Each ends with the volume as a restart of the server would find it.
"""

from __future__ import annotations

from collections.abc import Callable

from walbd.archive.archive import Archive
from walbd.archive.loading import load_volume
from walbd.archive.volume import ArchiveVolume
from walbd.archive.volume_files import STORED_STATES
from walbd.model.error import BadState, InvalidArgument, Refused
from walbd.model.state import MetaState
from walbd.net.tasks import run_to_end


async def reload_metadata(archive: Archive, name: str) -> None:
    """Reads the folder again. Raises Refused, BadState, and the reason when the volume cannot be served now."""
    await _change(archive, name, lambda volume: None)


async def set_uuid(archive: Archive, name: str, uuid: bytes) -> None:
    """Overwrites the uuid of the log whose diffs are taken."""
    await _change(archive, name, lambda volume: volume.files.save_uuid(uuid))


async def set_base(archive: Archive, name: str, base: MetaState) -> None:
    """Overwrites what the base image is said to hold."""
    await _change(archive, name, lambda volume: volume.files.save_base(base))


async def set_state(archive: Archive, name: str, state: str) -> None:
    """Overwrites the state; static ones only."""
    if state not in STORED_STATES:
        raise InvalidArgument(f"bad state:{name}:{state}", f"use one of {', '.join(sorted(STORED_STATES))}")
    await _change(archive, name, lambda volume: volume.files.save_state(state))


async def _change(archive: Archive, name: str, change: Callable[[ArchiveVolume], None]) -> None:
    """Failed volumes too: they may be what is to be repaired."""
    if not archive.settings.allow_debug:
        raise Refused("dbg commands are disabled", "start the archive with -allow-dbg")
    volume = archive.volumes.get(name)
    if volume.failure is None:
        volume.check("dbg-reload-metadata")
    if not volume.machine.is_static:
        raise BadState(f"bad state:{name}:{volume.state}", "wait until it is at rest")
    async with volume.base_lock:
        await run_to_end(archive.world, change, volume)
        loaded = await load_volume(archive, name)
    loaded.check_usable()
