"""virt-full-cat: the image that a base and the diffs after it make, without applying them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from walbd.model.limits import LB_BYTES
from walbd.tools.places import STANDARD, new_output, open_device, open_image, seekable_all
from walbd.tools.tool import DONE, Tool, run_tool
from walbd.tools.wdiff_blocks import WdiffBlocks
from walbd.tools.wdiff_show import ShownStatistics
from walbd.tools.work import shown
from walbd.wdiff.virtual import write_virtual
from walbd.wlog.super_sector import device_size_bytes
from walbd.world.command_line import Arguments, Option, OptionError

_OPTIONS = (
    Option("i", "BASE", "base image: file or device", is_necessary=True),
    Option("d", "WDIFF", "wdiff files of either format, oldest first", is_list=True),
    Option("o", "IMAGE", "output", STANDARD),
    Option("b", "SIZE", "no effect; a multiple of 512", "128K"),
    Option("stat", "", "print statistics of the wdiff files on standard error"),
)


def _print_statistics(paths: Sequence[Path]) -> None:
    counts = ShownStatistics()
    for path in paths:
        with open_device(str(path)) as fd:
            blocks = WdiffBlocks(fd)
            for record in blocks.records():
                counts.add(record)
            counts.dataSize += blocks.data_bytes
    print(
        f"mergeIn  wdiffNr {len(paths)}  nrN {counts.normalNr} nrZ {counts.allZeroNr} nrD {counts.discardNr}  "
        f"lbN {counts.normalLb} lbZ {counts.allZeroLb} lbD {counts.discardLb}  dataSize {counts.dataSize}",
        file=sys.stderr,
    )


def _run(arguments: Arguments) -> int:
    base, names = arguments.get("i"), arguments.lists.get("d", [])
    if arguments.number("b") == 0 or arguments.number("b") % LB_BYTES:
        raise OptionError(f"bad value:{arguments.get('b')}")
    with (
        new_output(arguments.get("o"), [base, *names]) as out,
        seekable_all(names) as paths,
        open_image(base) as fd,
    ):
        size_bytes = device_size_bytes(fd)
        os.lseek(fd, 0, os.SEEK_SET)
        with shown(TOOL.name, size_bytes) as progress:
            write_virtual(fd, paths, size_bytes, out.fd, progress=progress)
        out.commit()
        if "stat" in arguments:
            _print_statistics(paths)
    return DONE


TOOL = Tool(
    "virt-full-cat",
    "",
    "Writes the image that a base image and the wdiff files after it make; neither is changed.",
    _OPTIONS,
    _run,
    notes=(
        "Discards and zeros read as zeros, as after applying. The output has the size of the base: what the diffs hold "
        "behind it is left out. In an output file long zeros are holes.",
    ),
)


def main() -> int:
    """Entry point."""
    return run_tool(TOOL)
