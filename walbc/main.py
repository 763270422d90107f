"""Entry point of walbc."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from walbc.console import error_text, log_line, write_message, write_results
from walbc.options import Printout, Request, parse
from walbc.table import OptionError
from walbd.model.error import WalbError, one_line

EXIT_OK = 0
EXIT_ERROR = 1
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line; returns the exit status (walbc.md section 3)."""
    try:
        return _run(sys.argv[1:] if arguments is None else arguments)
    except OptionError as error:
        hint = f" (hint: {error.hint})" if error.hint else ""
        write_message(f"OptionError:{one_line(str(error) + hint)}\n")
        return EXIT_ERROR
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

    lines = _carry_out(request)
    write_results([_as_json(request, lines)] if request.is_json else lines)
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


def _as_json(request: Request, lines: list[str]) -> str:
    import json

    from walbc.shapes import json_value

    return json.dumps(json_value(request.form.shape, lines))
