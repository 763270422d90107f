"""What all tools have in common: options, help, errors and exit statuses."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from walbd.model.error import WalbError
from walbd.world.command_line import HELP, Arguments, Option, OptionError, is_help_asked, parse_arguments, report

DONE = 0
FAILED = 1
INTERRUPTED = 130

JSON = Option("-json", "", "print JSON, one object a line")
NO_END = Option("noend", "", "take the end of the file, or a damaged end block, for the end of the log")
IGNORED_AIO = Option("noaio", "", "no effect")
VERBOSE = Option("v", "", "no effect")
DEBUG = Option("debug", "", "no effect")
COMMON_OPTIONS = (HELP, DEBUG)


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool: its name, the words after its options, what it is for, its options, and what it does.

    `run` returns DONE or FAILED, or raises a WalbError; `statuses` says when it is FAILED without an error message of
    its own; `notes` are paragraphs for the manual."""

    name: str
    words: str
    text: str
    options: tuple[Option, ...]
    run: Callable[[Arguments], int]
    min_words: int = 0
    max_words: int = 0
    statuses: str = ""
    notes: tuple[str, ...] = ()

    @property
    def all_options(self) -> tuple[Option, ...]:
        """Its own and those of every tool."""
        return (*self.options, *COMMON_OPTIONS)

    def usage(self) -> str:
        """The line after `usage:`."""
        needed = [option.form for option in self.options if option.is_necessary]
        return " ".join([self.name, *needed, "[OPTIONS]", self.words]).rstrip()

    def help_text(self) -> str:
        """What -h prints."""
        lines = [f"usage: {self.usage()}", "", self.text, ""]
        return "\n".join([*lines, *(option.help_line() for option in self.all_options)])


def run_tool(tool: Tool, words: Sequence[str] | None = None) -> int:
    """Runs a tool with the words of its command line (None: the program's own) and returns the exit status."""
    words = sys.argv[1:] if words is None else words
    if is_help_asked(words):
        print(tool.help_text())
        return DONE
    try:
        arguments = parse_arguments(words, tool.all_options, tool.min_words, tool.max_words)
        status = tool.run(arguments)
        sys.stdout.flush()
    except OptionError as error:
        print(f"OptionError:{error}")
        print(tool.help_text())
        return FAILED
    except WalbError as error:
        report(tool.name, str(error))
        return FAILED
    except BrokenPipeError:
        # Whoever read the output has seen enough; what is still in Python's buffer must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        report(tool.name, f"{error.filename or 'input or output'}: {error.strerror}")
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    return status
