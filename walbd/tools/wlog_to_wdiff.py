"""wlog-to-wdiff: log files to one wdiff file."""

from __future__ import annotations

import sys

from walbd.model.error import Corrupted
from walbd.model.limits import LB_BYTES
from walbd.tools.places import STANDARD, name_of, new_output, open_inputs
from walbd.tools.tool import DONE, NO_END, Tool, run_tool
from walbd.wdiff.builder import LogOptions
from walbd.wdiff.indexed import log_to_indexed
from walbd.wdiff.sorted import log_to_sorted
from walbd.world.command_line import Arguments, Option, OptionError, parse_number

INDEXED = Option("indexed", "", "write the indexed format")
_OPTIONS = (
    Option("i", "WLOG", f"log files in their order (default {STANDARD})", is_list=True),
    Option("o", "WDIFF", "output", STANDARD),
    Option("x", "SIZE", "longest record in bytes, a multiple of 512 (0: no limit)", "1M"),
    INDEXED,
    NO_END,
)


def max_io_lb(text: str) -> int:
    """The value of -x in blocks; raises OptionError."""
    size = parse_number(text)
    if size % LB_BYTES:
        raise OptionError(f"bad value:{text}")
    return size // LB_BYTES


def _run(arguments: Arguments) -> int:
    names = arguments.lists.get("i", [STANDARD])
    limit, ends = max_io_lb(arguments.get("x")), []

    def ended(lsid: int) -> None:
        ends.append(lsid)
        print(f"converted until lsid {lsid}", file=sys.stderr)

    convert = log_to_indexed if INDEXED.name in arguments else log_to_sorted
    with new_output(arguments.get("o"), names) as out:
        options = LogOptions(max_io_lb=limit, folder=out.folder, strict=NO_END.name not in arguments)
        with open_inputs(names) as streams:
            convert(streams, out.fd, options, ended)
        if not ends:
            raise Corrupted(f"{name_of(names[0])}: there is no log", "a log file begins with a header of 4096 bytes")
        out.commit()
    return DONE


TOOL = Tool(
    "wlog-to-wdiff",
    "",
    "Converts log files to one wdiff file, compressed with snappy.",
    _OPTIONS,
    _run,
    notes=(
        "Every input may hold several logs back to back; all must be of one log sequence (uuid) and without gaps. "
        "`converted until lsid N` is printed on standard error for each. Only normal records are cut to `-x` bytes, "
        "discards and zeros are not. Memory is bounded: the data wait in a temporary file without a name beside the "
        "output, or in `$TMPDIR`.",
    ),
)


def main() -> int:
    """Entry point."""
    return run_tool(TOOL)
