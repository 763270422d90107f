"""wlog-cat: a log file out of a log device."""

from __future__ import annotations

from walbd.model.limits import INVALID_LSID
from walbd.tools.places import STANDARD, new_output, open_device
from walbd.tools.tool import DONE, IGNORED_AIO, VERBOSE, Tool, run_tool
from walbd.tools.work import shown
from walbd.wlog.extract import find_headers, find_log, write_log
from walbd.wlog.super_sector import read_super_sector
from walbd.world.command_line import Arguments, Option, report

_OPTIONS = (
    Option("o", "PATH", "output", STANDARD),
    Option("b", "LSID", "begin there", "0"),
    Option("e", "LSID", "end at the first pack at or behind it", str(INVALID_LSID)),
    Option("s", "", "do not cut a pack with wrong data; copy such data as they are"),
    Option("f", "", "begin at -b even when that is below the oldest lsid"),
    IGNORED_AIO,
    VERBOSE,
)


def _run(arguments: Arguments) -> int:
    name, output = arguments.positional[0], arguments.get("o")
    begin, end = arguments.number("b"), arguments.number("e")
    is_checked = "s" not in arguments
    with new_output(output, [name]) as out:
        with open_device(name) as fd:
            super_sector = read_super_sector(fd)
            if "f" not in arguments:
                begin = max(begin, super_sector.oldest_lsid)
            extent = (find_log if is_checked else find_headers)(fd, super_sector, begin, end)
            size_bytes = (extent.end_lsid - begin) * super_sector.pbs
            with shown(TOOL.name, size_bytes) as progress, open(out.fd, "wb", closefd=False) as file:
                write_log(file, fd, super_sector, extent, end, verify=is_checked, progress=progress)
        out.commit()
    if extent.cut_header:
        report(
            TOOL.name, f"data are wrong in the pack at lsid {extent.cut_lsid}: it is cut at {extent.end_lsid}", "INFO"
        )
    return DONE


TOOL = Tool(
    "wlog-cat",
    "LDEV",
    "Writes the log of a log device, living or dead, to a log file.",
    _OPTIONS,
    _run,
    1,
    1,
    notes=(
        "The log begins at the oldest lsid, or at `-b` when that is larger; it must be where a pack begins. It ends "
        "where no valid pack follows. A pack with wrong data is cut before them and is the last; a line on standard "
        "error then says so, and the exit status is 0: that is how the log of a crashed device ends.",
    ),
)


def main() -> int:
    """Entry point."""
    return run_tool(TOOL)
