"""walb-device: serves one user-space walb device, or starts many (docs/device.md)."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from walbd.device.control import DEFAULT_SOCKET_DIR
from walbd.model.error import WalbError
from walbd.version import VERSION
from walbd.world.command_line import HELP, Arguments, Option, OptionError, is_help_asked, parse_arguments, report_misuse
from walbd.world.journal import print_error
from walbd.world.service_manager import ServiceManager

if TYPE_CHECKING:
    from walbd.device.user.server import ServerOptions

SOCKET_DIR = Option("s", "DIR", "folder of the sockets NAME.nbd and NAME.ctl", DEFAULT_SOCKET_DIR)
# Of one device; a line of a list has the same.
DEVICE_OPTIONS = (
    Option("n", "NAME", "name of the device", is_necessary=True),
    Option("ldev", "PATH", "log device: file or block device made by wdevc format-ldev", is_necessary=True),
    Option("ddev", "PATH", "data device: file or block device", is_necessary=True),
    SOCKET_DIR,
    Option("on-full", "overflow|error", "log that was not shipped is overwritten, or writes fail", "overflow"),
    Option("tcp", "HOST:PORT", "serve NBD there, too: nobody is asked who he is, so 127.0.0.1 or a closed network"),
)
CHECK = Option("-check", "", "tell whether the device could be served, and end")
LIST = Option(
    "list", "FILE", "start, detached, every device of a file with these options on a line each", is_necessary=True
)
LIST_OPTIONS = (LIST, SOCKET_DIR, CHECK)
EVERY_OPTION = (HELP, *DEVICE_OPTIONS, replace(LIST, is_necessary=False), CHECK)
SYNOPSES = ("walb-device -n NAME -ldev PATH -ddev PATH [OPTIONS]", "walb-device -list FILE [-s DIR]")


def help_text() -> str:
    """What -h prints."""
    one, many = SYNOPSES
    lines = [f"walb device server version {VERSION}", "", f"usage: {one}", f"       {many}"]
    return "\n".join([*lines, *(option.help_line() for option in EVERY_OPTION)])


def main() -> int:
    """Entry point."""
    words = sys.argv[1:]
    if is_help_asked(words):
        print(help_text())
        return 0
    is_list = "-list" in words
    try:
        arguments = parse_arguments(words, LIST_OPTIONS if is_list else (*DEVICE_OPTIONS, CHECK))
    except OptionError as error:
        report_misuse(str(error), f"usage: {SYNOPSES[is_list]}")
        return 1
    try:
        return _start_list(arguments) if is_list else _serve(arguments)
    except WalbError as error:
        print_error(f"walb-device: error: {error}")
        return 1


def _serve(arguments: Arguments) -> int:
    from walbd.device.user.run import run_device, server_options

    options = server_options(arguments)
    if CHECK.name in arguments:
        return _check(options)
    return run_device(options, manager=ServiceManager.take(os.environ))


def _check(options: ServerOptions) -> int:
    from walbd.device.user.check import check_device

    print(check_device(options))
    return 0


def _start_list(arguments: Arguments) -> int:
    from walbd.device.device_list import check_devices, read_device_list, start_devices

    folder = replace(SOCKET_DIR, default=arguments.get("s"))
    options = tuple(folder if option is SOCKET_DIR else option for option in DEVICE_OPTIONS)
    devices = read_device_list(Path(arguments.get("list")), options)
    return check_devices(devices, print) if CHECK.name in arguments else start_devices(devices, print)


if __name__ == "__main__":
    sys.exit(main())
