"""wlog-redo: applies a log file to a device or image."""

from __future__ import annotations

import os

from walbd.model.error import InvalidArgument
from walbd.model.limits import LB_BYTES
from walbd.tools.places import STANDARD, open_input, open_target, refuse_same
from walbd.tools.tool import DONE, FAILED, IGNORED_AIO, NO_END, VERBOSE, Tool, run_tool
from walbd.tools.work import shown
from walbd.wlog.log_file import LogFileHeader
from walbd.wlog.pack_walk import PackWalk
from walbd.wlog.redo_file import Redone, redo_file, redo_unverified
from walbd.wlog.super_sector import physical_block_size
from walbd.world.command_line import Arguments, Option, report

DISCARD_OPTIONS = (
    Option("d", "", "hand discards to the device, or file system; what cannot take them is zeroed"),
    Option("z", "", "write zeros for discards"),
)
_OPTIONS = (
    Option("i", "WLOG", "log file", STANDARD),
    *DISCARD_OPTIONS,
    Option("skipcsum", "", "apply records with wrong data, too"),
    NO_END,
    IGNORED_AIO,
    VERBOSE,
)


def print_redone(done: Redone) -> None:
    """What was applied."""
    print(f"Applied lsid range [{done.begin_lsid}, {done.end_lsid})")
    print(f"normalLb {done.normal_lb}\ndiscardLb {done.discard_lb}\npaddingPb {done.padding_pb}")
    print(f"skippedNr {done.n_outside}")


def _run(arguments: Arguments) -> int:
    source, target = arguments.get("i"), arguments.positional[0]
    refuse_same(target, [source])
    ignores = "d" not in arguments and "z" not in arguments
    strict = NO_END.name not in arguments
    with open_target(target) as (fd, size_lb), open_input(source) as file:

        def check(header: LogFileHeader) -> None:
            own = physical_block_size(fd)
            if own is not None and header.pbs % own:
                raise InvalidArgument(f"the log has blocks of {header.pbs} bytes, {target} of {own}")

        if "skipcsum" in arguments:
            walk = PackWalk(file, strict=strict)
            check(walk.header)
            done = redo_unverified(walk, fd, size_lb, ignores_discards=ignores)
        else:
            with shown(TOOL.name, os.fstat(file.fileno()).st_size) as progress:
                done = redo_file(
                    file, fd, size_lb,
                    ignores_discards=ignores, strict=strict, check_header=check, progress=progress,
                )  # fmt: skip
        os.fsync(fd)
    print_redone(done)
    if done.n_outside:
        report(TOOL.name, f"{done.n_outside} records do not lie on {target} of {size_lb * LB_BYTES} bytes")
        return FAILED
    return DONE


TOOL = Tool(
    "wlog-redo",
    "DEVICE",
    "Applies a log file to a block device or image file and syncs it.",
    _OPTIONS,
    _run,
    1,
    1,
    statuses="records that do not lie wholly on DEVICE: they are left out",
    notes=(
        "Without `-d` and `-z` discards are left out, as in the reference; the image then differs from the device "
        "wherever it was discarded. Records are applied in their order, each verified first; a damaged one ends the "
        "work, what precedes it has been applied. Of several logs in one stream, the first is applied.",
    ),
)


def main() -> int:
    """Entry point."""
    return run_tool(TOOL)
