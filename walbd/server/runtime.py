"""What every part of a running daemon needs."""

from __future__ import annotations

from dataclasses import dataclass

from walbd.server.changes import Changes
from walbd.server.log import Log
from walbd.server.shutdown import Shutdown
from walbd.world.service_manager import ServiceManager
from walbd.world.world import World


@dataclass(frozen=True)
class Runtime:
    """One of these is made per daemon and handed to its volumes, queues and tables."""

    world: World
    log: Log
    changes: Changes
    shutdown: Shutdown
    manager: ServiceManager

    @classmethod
    def make(cls, world: World, log: Log, manager: ServiceManager | None = None) -> Runtime:
        """Without a manager, nobody is told how the daemon is."""
        changes = Changes(world)
        return cls(world, log, changes, Shutdown(changes), manager or ServiceManager())
