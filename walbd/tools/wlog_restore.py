"""wlog-restore: writes a log file into a log device."""

from __future__ import annotations

from walbd.model.error import InvalidArgument
from walbd.model.limits import INVALID_LSID, LB_BYTES
from walbd.tools.places import STANDARD, open_device, open_input, refuse_same
from walbd.tools.tool import DONE, NO_END, VERBOSE, Tool, run_tool
from walbd.wlog.pack_walk import PackWalk
from walbd.wlog.restore import LogRestore, RestoreOptions
from walbd.wlog.super_sector import read_super_sector
from walbd.world.command_line import Arguments, Option, OptionError, parse_number, report

_OPTIONS = (
    Option("b", "LSID", "the first pack to restore is at or behind it", "0"),
    Option("e", "LSID", "end before the first pack at or behind it", str(INVALID_LSID)),
    Option("d", "DIFF", "add this to all lsids; may be negative", "0"),
    Option("i", "LSID", "zero the block of this lsid of the log device afterwards"),
    Option("s", "SIZE", "size of the device in bytes: records not wholly below it are left out"),
    Option("-verify", "", "read back what was written and compare"),
    NO_END,
    VERBOSE,
)


def _signed(text: str) -> int:
    return -parse_number(text[1:]) if text.startswith("-") else parse_number(text)


def _size_lb(text: str | None) -> int | None:
    if text is None:
        return None
    size_bytes = parse_number(text)
    if size_bytes == 0 or size_bytes % LB_BYTES:
        raise OptionError(f"bad value:{text}")
    return size_bytes // LB_BYTES


def _run(arguments: Arguments) -> int:
    invalid = arguments.values.get("i")
    options = RestoreOptions(
        begin_lsid=arguments.number("b"),
        end_lsid=arguments.number("e"),
        lsid_diff=_signed(arguments.get("d")),
        clip_lb=_size_lb(arguments.values.get("s")),
        invalid_lsid=None if invalid is None else parse_number(invalid),
        verify="-verify" in arguments,
    )
    if options.begin_lsid >= options.end_lsid:
        raise InvalidArgument(f"no lsid range:{options.begin_lsid}..{options.end_lsid}")
    name = arguments.positional[0]
    refuse_same(name, [STANDARD])
    with open_device(name, write=True) as fd, open_input(STANDARD) as file:
        walk = PackWalk(file, strict=NO_END.name not in arguments)
        done = LogRestore(fd, read_super_sector(fd), walk, options).run()
    print(f"Restored lsid range [{done.begin_lsid}, {done.end_lsid})\nnrPacks {done.n_packs}")
    if done.n_clipped:
        report(TOOL.name, f"{done.n_clipped} records do not lie on a device of that size: left out", "INFO")
    return DONE


TOOL = Tool(
    "wlog-restore",
    "LDEV < WLOG",
    "Writes a log file into the ring of a log device, whose log it replaces.",
    _OPTIONS,
    _run,
    1,
    1,
    notes=(
        "LDEV gets the uuid and salt of the log; oldest and written lsid become where it begins. A pack that would "
        "cross the end of the ring goes behind it, after a pack of padding, and the lsids that follow move by that. "
        "Until all of it is durable, LDEV holds an empty log.",
    ),
)


def main() -> int:
    """Entry point."""
    return run_tool(TOOL)
