"""Entry point of walbc."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from walbc.console import error_text, log_line, write_message, write_results
from walbc.options import Printout, Request, parse
from walbd.model.error import WalbError

EXIT_OK = 0
EXIT_ERROR = 1
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line; returns the exit status (walbc.md section 3)."""
    try:
        return _run(sys.argv[1:] if arguments is None else arguments)
    except WalbError as error:
        write_message(log_line("ERROR", f"error: {error_text(error)}"))
        return EXIT_ERROR
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _run(arguments: Sequence[str]) -> int:
    try:
        request = parse(arguments)
    except Printout as printout:
        write_results(printout.text.split("\n"))
        return printout.status

    write_results(_carry_out(request))
    return EXIT_OK


def _carry_out(request: Request) -> list[str]:
    """The lines to print. Imports come late: help and option errors need none of them."""
    if request.command.program:
        from importlib import import_module

        run: Callable[[Request], list[str]] = import_module(request.command.program).run
        return run(request)
    from walbc.execute import execute
    from walbc.transport import TcpTransport

    return execute(request, TcpTransport())
