"""walb-device: serves one user-space walb device (docs/device.md)."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from walbd.device.control import DEFAULT_SOCKET_DIR
from walbd.model.error import WalbError
from walbd.model.limits import check_device_name
from walbd.version import VERSION
from walbd.world.command_line import HELP, Option, OptionError, is_help_asked, parse_arguments

OPTIONS = (
    HELP,
    Option("n", "NAME", "name of the device", is_necessary=True),
    Option("ldev", "PATH", "log device: file or block device made by wdevc format-ldev", is_necessary=True),
    Option("ddev", "PATH", "data device: file or block device", is_necessary=True),
    Option("s", "DIR", "folder of the sockets NAME.nbd and NAME.ctl", DEFAULT_SOCKET_DIR),
)


def help_text() -> str:
    """What -h prints."""
    lines = [f"walb device server version {VERSION}", "", "usage: walb-device -n NAME -ldev PATH -ddev PATH [-s DIR]"]
    return "\n".join([*lines, *(option.help_line() for option in OPTIONS)])


def main() -> int:
    """Entry point."""
    words = sys.argv[1:]
    if is_help_asked(words):
        print(help_text())
        return 0
    try:
        arguments = parse_arguments(words, OPTIONS)
    except OptionError as error:
        print(f"OptionError:{error}")
        print(help_text())
        return 1
    import uvloop

    from walbd.device.user.server import DeviceServer, ServerOptions
    from walbd.world.world import World

    async def serve() -> int:
        options = ServerOptions(
            check_device_name(arguments.get("n")),
            arguments.get("ldev"),
            arguments.get("ddev"),
            Path(arguments.get("s")),
        )
        return await DeviceServer(options, World()).run()

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(serve())
    except WalbError as error:
        print(f"walb-device: error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
