"""walb-device: serves one user-space walb device (docs/device.md)."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from walbd.device.control import DEFAULT_SOCKET_DIR
from walbd.model.address import Address
from walbd.model.error import InvalidArgument, WalbError
from walbd.model.limits import check_device_name
from walbd.version import VERSION
from walbd.world.command_line import HELP, Option, OptionError, is_help_asked, parse_arguments

OPTIONS = (
    HELP,
    Option("n", "NAME", "name of the device", is_necessary=True),
    Option("ldev", "PATH", "log device: file or block device made by wdevc format-ldev", is_necessary=True),
    Option("ddev", "PATH", "data device: file or block device", is_necessary=True),
    Option("s", "DIR", "folder of the sockets NAME.nbd and NAME.ctl", DEFAULT_SOCKET_DIR),
    Option("on-full", "overflow|error", "log that was not shipped is overwritten, or writes fail", "overflow"),
    Option("tcp", "HOST:PORT", "serve NBD there, too: nobody is asked who he is, so 127.0.0.1 or a closed network"),
)


def help_text() -> str:
    """What -h prints."""
    lines = [f"walb device server version {VERSION}", "", "usage: walb-device -n NAME -ldev PATH -ddev PATH [options]"]
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

    from walbd.device.user.engine import OnFull
    from walbd.device.user.server import DeviceServer, ServerOptions
    from walbd.world.world import World

    def _on_full(text: str) -> OnFull:
        if text not in {choice.value for choice in OnFull}:
            raise InvalidArgument(f"-on-full {text[:40]} is unknown", "write overflow or error")
        return OnFull(text)

    async def serve() -> int:
        options = ServerOptions(
            check_device_name(arguments.get("n")),
            arguments.get("ldev"),
            arguments.get("ddev"),
            Path(arguments.get("s")),
            _on_full(arguments.get("on-full")),
            Address.parse(arguments.get("tcp")) if "tcp" in arguments else None,
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
