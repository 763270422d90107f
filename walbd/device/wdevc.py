"""wdevc: the control command of walb devices, kernel or user-space (wdev.md section 12)."""

from __future__ import annotations

import asyncio
import os
import sys

from walbd.device.wdevc_commands import COMMANDS, Command
from walbd.model.error import WalbError
from walbd.model.suggest import suggestion
from walbd.world.command_line import HELP, OptionError, is_help_asked, parse_arguments, report, report_misuse

DONE = 0
FAILED = 1
INTERRUPTED = 130
SYNOPSIS = "wdevc [-debug] [-h] COMMAND [ARGS] [OPTIONS]"


def help_text() -> str:
    """What -h prints."""
    lines = [f"usage: {SYNOPSIS}", "", "commands:"]
    lines += [f"  {command.form} : {command.text}" for command in COMMANDS.values()]
    return "\n".join([*lines, "", "WDEV is NAME, /dev/walb/NAME or the path of a control socket NAME.ctl."])


def command_help(command: Command) -> str:
    """What `wdevc COMMAND -h` prints."""
    lines = [f"usage: wdevc {command.form}", "", command.text, ""]
    return "\n".join([*lines, *(option.help_line() for option in (HELP, *command.options))])


def main() -> int:
    """Entry point."""
    try:
        status = _run([word for word in sys.argv[1:2] if word != "-debug"] + sys.argv[2:])
        sys.stdout.flush()
    except WalbError as error:
        report("wdevc", str(error))
        return FAILED
    except OSError as error:
        # What is still in Python's buffer must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        report("wdevc", f"{error.filename or 'standard output'}: {error.strerror}")
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    return status


def _run(words: list[str]) -> int:
    if words[:1] == ["-h"]:
        print(help_text())
        return DONE
    command = COMMANDS.get(words[0]) if words else None
    if command is None:
        if words:
            hint = suggestion(words[0], COMMANDS, "wdevc -h lists commands")
            report_misuse(f"bad command:{words[0]}", hint)
        print(help_text())
        return FAILED
    if is_help_asked(words):
        print(command_help(command))
        return DONE
    try:
        arguments = parse_arguments(words[1:], command.options, command.min_words, command.max_words)
        output = asyncio.run(command.run(arguments))
    except OptionError as error:
        report_misuse(str(error), f"usage: wdevc {command.form}")
        return FAILED
    for line in output:
        print(line)
    return DONE


if __name__ == "__main__":
    sys.exit(main())
