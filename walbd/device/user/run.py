"""Running one device server in this process. Importing this loads all that serving needs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import uvloop

from walbd.device.user.engine import OnFull
from walbd.device.user.server import DeviceServer, ServerOptions
from walbd.model.address import Address
from walbd.model.error import InvalidArgument
from walbd.model.limits import check_device_name
from walbd.world.command_line import Arguments
from walbd.world.service_manager import ServiceManager
from walbd.world.world import World


def _on_full(text: str) -> OnFull:
    if text not in {choice.value for choice in OnFull}:
        raise InvalidArgument(f"-on-full {text[:40]} is unknown", "write overflow or error")
    return OnFull(text)


def server_options(arguments: Arguments) -> ServerOptions:
    """What the options of walb-device say. Raises InvalidArgument."""
    return ServerOptions(
        check_device_name(arguments.get("n")),
        arguments.get("ldev"),
        arguments.get("ddev"),
        Path(arguments.get("s")),
        _on_full(arguments.get("on-full")),
        Address.parse(arguments.get("tcp")) if "tcp" in arguments else None,
    )


def run_device(
    options: ServerOptions, on_serving: Callable[[], None] = lambda: None, manager: ServiceManager | None = None
) -> int:
    """Serves until a signal or the control operation stop; returns the exit status. `on_serving` is called when
    clients can connect. Raises WalbError when the device cannot be started."""
    manager = manager or ServiceManager()

    async def serve() -> int:
        world = World()
        # From before the redo on, which may take longer than a manager waits.
        beating = asyncio.create_task(manager.keep_beating(lambda: "", world.sleep))
        try:
            return await DeviceServer(options, world, on_serving=on_serving, manager=manager).run()
        finally:
            beating.cancel()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(serve())
