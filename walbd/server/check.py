"""`--check`: whether a daemon could start with these options. Nothing is changed, locked or listened on, so it can be
asked while the daemon runs."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from walbd.model.address import Address
from walbd.model.error import StorageFailure
from walbd.server.base_directory import check_base_directory, is_in_use
from walbd.server.common_options import CommonSettings
from walbd.server.daemon import Daemon
from walbd.server.log import STDERR
from walbd.server.volume import Volume
from walbd.world.network import check_listen, reason_of

S = TypeVar("S", bound=CommonSettings)
V = TypeVar("V", bound=Volume)


def check_start(daemon_class: type[Daemon[S, V]], settings: S) -> tuple[str, list[str]]:
    """One line saying that all is fine, and warnings. Raises the WalbError that a start would end with."""
    settings, warnings = settings.adjusted()
    base = Path(settings.base_dir)
    folders = check_base_directory(base, daemon_class.kind, daemon_class.creates_base)
    _check_log(settings.log_path, base)
    is_running = is_in_use(base)
    check_listen(settings.bind, settings.port, may_be_taken=is_running)
    warnings += [f"volume {folder.name} cannot be read and written" for folder in folders if not _is_usable(folder)]
    warnings += daemon_class.check_settings(settings)
    state = "in use by a running daemon" if is_running else "not in use"
    return f"can start with {len(folders)} volumes in {base} ({state})", warnings


def unresolved(peers: Iterable[Address]) -> list[str]:
    """A warning for each peer whose name means nothing here. No error: names may come later, and are asked again."""
    warnings = []
    for peer in peers:
        try:
            socket.getaddrinfo(peer.host, peer.port, type=socket.SOCK_STREAM)
        except OSError as error:
            warnings.append(f"{peer} cannot be found: {reason_of(error)}")
    return warnings


def _is_usable(folder: Path) -> bool:
    return os.access(folder, os.R_OK | os.W_OK | os.X_OK, effective_ids=True)


def _check_log(log_path: str, base: Path) -> None:
    """As opening it would, without making it."""
    path = base / log_path
    if log_path == STDERR or (path.parent == base and not base.exists()):
        return
    place = path if path.exists() else path.parent
    if not os.access(place, os.W_OK, effective_ids=True) or (place != path and not place.is_dir()):
        raise StorageFailure(f"cannot open the log file {path}", "its directory must exist and be writable")
