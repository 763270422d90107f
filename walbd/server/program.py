"""From the command line to a running daemon and its exit status.

0: `-h`, the daemon was ended by `shutdown` or a signal, or --check found that it could start. 1: everything else; the
reason is one line, for a command line that is not well formed `OptionError:...` and the help on stdout, otherwise
`<Kind>Server: error: ...` on stderr.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import uvloop

from walbd.model.error import WalbError, one_line
from walbd.server.about import banner
from walbd.server.base_directory import BaseDirectory
from walbd.server.check import check_start
from walbd.server.common_options import CommonSettings
from walbd.server.daemon import Daemon, banner_lines
from walbd.server.log import Log, defect_text, open_log
from walbd.server.options import HelpWanted, OptionError, help_text, parse
from walbd.server.repeats import Repeats
from walbd.server.runtime import Runtime
from walbd.server.volume import Volume
from walbd.world.journal import print_error
from walbd.world.service_manager import ServiceManager
from walbd.world.world import World

S = TypeVar("S", bound=CommonSettings)
V = TypeVar("V", bound=Volume)

SUCCESS = 0
FAILURE = 1


def run_daemon(
    daemon_class: type[Daemon[S, V]], settings_class: type[S], arguments: Sequence[str] | None = None
) -> int:
    """The `main` of a daemon: returns its exit status."""
    kind = daemon_class.kind
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        settings = parse(settings_class, arguments)
    except HelpWanted:
        print(help_text(settings_class, f"walb-{kind}", banner(kind)))
        return SUCCESS
    except OptionError as error:
        print(f"OptionError:{one_line(error.message)}")
        print(help_text(settings_class, f"walb-{kind}", banner(kind)))
        return FAILURE
    except WalbError as error:
        return _fail(kind, str(error))
    try:
        return _check(daemon_class, settings) if settings.checks_only else _run(daemon_class, settings)
    except WalbError as error:
        return _fail(kind, str(error))
    except Exception as error:
        return _fail(kind, defect_text(error))


def _check(daemon_class: type[Daemon[S, V]], settings: S) -> int:
    fine, warnings = check_start(daemon_class, settings)
    for warning in warnings:
        print(f"{daemon_class.kind.capitalize()}Server: warning: {warning}", file=sys.stderr)
    print(f"walb-{daemon_class.kind} {fine}")
    return SUCCESS


def _run(daemon_class: type[Daemon[S, V]], settings: S) -> int:
    manager = ServiceManager.take(os.environ)
    settings, warnings = settings.adjusted()
    world = World()
    base = BaseDirectory(world.files, Path(settings.base_dir), daemon_class.kind, daemon_class.creates_base)
    log: Log | None = None
    try:
        log = open_log(settings.log_path, base.path, settings.debug, Repeats(world.monotonic))
        for line in banner_lines(daemon_class.kind, settings):
            log.info(line)
        for warning in warnings:
            log.warning(warning)
        if base.swept:
            log.info("removed interrupted directories", base.swept)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            ended = runner.run(_serve(daemon_class, settings, Runtime.make(world, log, manager), base))
            log.write_suppressed(everything=True)
            log.info(f"shutdown {banner(daemon_class.kind)}")
            if not ended:
                _abandon(log)
    except Exception as error:
        if log:
            log.error(error if isinstance(error, WalbError) else defect_text(error))
        raise
    finally:
        if log:
            log.close()
        base.close()
    return SUCCESS


async def _serve(daemon_class: type[Daemon[S, V]], settings: S, runtime: Runtime, base: BaseDirectory) -> bool:
    daemon = daemon_class(settings, runtime)
    return await daemon.run(base.volume_names(runtime.log))


def _abandon(log: Log) -> None:
    """Ends the process although a thread hangs in the operating system: after a forced shutdown nothing waits for it.
    Everything that was acknowledged is durable; the rest rolls back at the next start."""
    log.warning("work did not end in time and is abandoned")
    log.close()
    os._exit(SUCCESS)


def _fail(kind: str, text: str) -> int:
    print_error(f"{kind.capitalize()}Server: error: {text}")
    return FAILURE
