"""wdevc: the control command of walb devices, kernel or user-space (wdev.md section 12)."""

from __future__ import annotations

import asyncio
import sys

from walbd.device.wdevc_commands import COMMANDS, Command
from walbd.model.error import WalbError
from walbd.world.command_line import HELP, OptionError, is_help_asked, parse_arguments, report

SYNOPSIS = "wdevc [-debug] [-h] COMMAND [ARGS] [OPTIONS]"


def help_text() -> str:
    """What -h prints."""
    lines = [f"usage: {SYNOPSIS}", "", "commands:"]
    lines += [f"  {command.form} : {command.text}" for command in COMMANDS.values()]
    return "\n".join([*lines, "", "WDEV is NAME, /dev/walb/NAME or the path of a control socket NAME.ctl."])


def command_help(command: Command) -> str:
    """What `wdevc COMMAND -h` prints."""
    lines = [f"usage: wdevc {command.form}", "", command.text]
    return "\n".join([*lines, *(option.help_line() for option in (HELP, *command.options))])


def main() -> int:
    """Entry point."""
    words = [word for word in sys.argv[1:2] if word != "-debug"] + sys.argv[2:]
    if words and words[0] == "-h":
        print(help_text())
        return 0
    command = COMMANDS.get(words[0]) if words else None
    if command is None:
        print(help_text())
        return 1
    if is_help_asked(words):
        print(command_help(command))
        return 0
    try:
        arguments = parse_arguments(words[1:], command.options, command.min_words, command.max_words)
        output = asyncio.run(command.run(arguments))
    except OptionError as error:
        print(f"OptionError:{error}")
        print(command_help(command))
        return 1
    except WalbError as error:
        report("wdevc", str(error))
        return 1
    for line in output:
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
