"""wdev-redo: brings a data device up to its log device, as at the start of a walb device."""

from __future__ import annotations

from walbd.tools.places import open_device, refuse_same
from walbd.tools.tool import DONE, IGNORED_AIO, VERBOSE, Tool, run_tool
from walbd.wlog.recovery import recover
from walbd.wlog.super_sector import read_super_sector
from walbd.world.command_line import Arguments, Option, report

_OPTIONS = (
    Option("d", "", "no effect: discards are always done"),
    Option("z", "", "no effect: what is discarded always reads as zeros"),
    IGNORED_AIO,
    VERBOSE,
)


def _run(arguments: Arguments) -> int:
    ldev, ddev = arguments.positional
    refuse_same(ddev, [ldev])
    with open_device(ldev, write=True) as ldev_fd, open_device(ddev, write=True) as ddev_fd:
        before = read_super_sector(ldev_fd)
        done = recover(ldev_fd, ddev_fd, before)
    written = done.super_sector.written_lsid
    print(f"Applied lsid range [{before.written_lsid}, {written})")
    print(f"normalLb {done.normal_lb}\ndiscardLb {done.discard_lb}")
    if done.was_cut:
        report(TOOL.name, f"data were wrong in the last pack: the log is cut at lsid {written}", "INFO")
    if done.stale_count:
        report(TOOL.name, f"{done.stale_count} stale packs behind the end of the log are invalidated", "INFO")
    return DONE


TOOL = Tool(
    "wdev-redo",
    "LDEV DDEV",
    "Applies the log of a log device that its data device has not yet, syncs, and stores that in the log device.",
    _OPTIONS,
    _run,
    2,
    2,
    notes=(
        "The devices must not be in use. A last pack with wrong data is cut before them, on the log device too, and "
        "left-over packs behind the end of the log are invalidated. Run again after an interruption, it completes.",
    ),
)


def main() -> int:
    """Entry point."""
    return run_tool(TOOL)
