"""Entry point of walb-worker.

Exit status: 0 when ended by a signal or its lifetime, when nothing was left to do (-once) or only to be shown
(-dry-run), and when --check found the policy files right; 1 for a wrong command line or policy file, after three
failures to plan in a row, and when a task of -once failed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from walbc.worker.log import WorkerLog
from walbd.model.error import WalbError
from walbd.world.command_line import HELP, Option
from walbd.world.journal import print_error

MAX_STEP = 5
OPTIONS = {
    option.name: option
    for option in (
        Option(
            "f",
            "FILE",
            "YAML policy file, - for stdin; may be repeated: keys of later files replace those of earlier ones",
            is_necessary=True,
        ),
        Option("dry-run", "", "print what would be done now, and why; do nothing"),
        Option("once", "", "do what is due, wait for it, and end"),
        Option("v", "", "more log"),
        Option("vv", "", "the same as -v"),
        Option("step", "N", f"only selection step N (1..{MAX_STEP}), 0 for all", "0"),
        Option("lifetime", "SEC", "end after so many seconds"),
        Option("no", "", "select and log tasks, do not run them"),
        Option("-check", "", "tell whether the policy files are right, and end; asks no server"),
        HELP,
    )
}


def usage() -> str:
    """What -h prints."""
    return "\n".join(["usage: walb-worker -f FILE [OPTIONS]", "", *(row.help_line() for row in OPTIONS.values())])


class UsageError(Exception):
    """The command line is wrong."""


@dataclass
class Options:
    """The command line."""

    files: list[str] = field(default_factory=list)
    verbosity: int = 0
    step: int = 0
    lifetime_sec: int | None = None
    runs_tasks: bool = True
    is_dry_run: bool = False
    is_once: bool = False
    checks_only: bool = False
    wants_help: bool = False


def parse_options(words: Sequence[str]) -> Options:
    """The options of a command line. Raises UsageError."""
    options, rest = Options(), iter(words)
    for word in rest:
        name = word.replace("--", "-", 1)[1:] if word.startswith("-") else ""
        value = _value(word, rest) if name in OPTIONS and OPTIONS[name].value else ""
        match name:
            case "f":
                options.files.append(value)
            case "v" | "vv":
                options.verbosity = len(name)
            case "step":
                options.step = _number(word, value, MAX_STEP)
            case "lifetime":
                options.lifetime_sec = _number(word, value, sys.maxsize)
            case "no":
                options.runs_tasks = False
            case "dry-run":
                options.is_dry_run = True
            case "once":
                options.is_once = True
            case "check":
                options.checks_only = True
            case "h" | "help":
                options.wants_help = True
            case _:
                raise UsageError(f"option error {word}")
    if not options.files and not options.wants_help:
        raise UsageError("set -f option")
    return options


def _value(word: str, rest: Iterator[str]) -> str:
    value = next(rest, None)
    if value is None:
        raise UsageError(f"option error {word}")
    return value


def _number(word: str, text: str, most: int) -> int:
    if not text.isdigit() or int(text) > most:
        raise UsageError(f"option error {word}")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the worker; returns the exit status."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        options = parse_options(words)
    except UsageError as error:
        print(f"{error}\n{usage()}")
        return 1
    if options.wants_help:
        print(usage())
        return 0
    try:
        return _run(options, words)
    except WalbError as error:
        print_error(f"walb-worker: error: {error}")
        return 1


def _run(options: Options, words: Sequence[str]) -> int:
    from walbc.library.failure import CommandError, ControlError
    from walbc.worker.config import Config
    from walbc.worker.policy_file import load_config
    from walbc.worker.service import Service
    from walbc.worker.view import worker_controller
    from walbd.world.service_manager import ServiceManager

    def policy() -> Config:
        return load_config(options.files, lambda text: print(f"walb-worker: warning: {text}", file=sys.stderr))

    manager = ServiceManager.take(os.environ)
    config = policy()
    if options.checks_only:
        print(f"walb-worker can work for the archive {config.general.addr}:{config.general.port}")
        return 0
    controller, archive = worker_controller(config)
    log = WorkerLog(options.verbosity > 0)
    service = Service(
        config, controller, archive, log, manager=manager, step=options.step, starts_tasks=options.runs_tasks
    )
    service.obey_signals(policy)
    try:
        if options.is_dry_run:
            return service.dry_run(log.text)
        if options.is_once:
            return service.run_once()
    except CommandError:
        return 1  # the reason is on stderr already
    except ControlError as error:
        print_error(f"walb-worker: error: {':'.join(map(str, error.args))}")
        return 1
    log.info("start walb-worker")
    log.info(" ".join(words))
    log.text(f">>>\n{config}<<<")
    status = service.run(options.lifetime_sec)
    log.info("end walb-worker")
    return status


if __name__ == "__main__":
    sys.exit(main())
