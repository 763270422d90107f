"""wdiff-full: a whole image as a wdiff file."""

from __future__ import annotations

from walbd.tools.places import STANDARD, new_output, open_input
from walbd.tools.tool import DONE, Tool, run_tool
from walbd.tools.wlog_to_wdiff import INDEXED
from walbd.wdiff.builder import LogOptions
from walbd.wdiff.full import image_to_wdiff
from walbd.wdiff.reader import WdiffKind
from walbd.world.command_line import Arguments, Option

_OPTIONS = (
    Option("i", "IMAGE", "image file or device", STANDARD),
    Option("o", "WDIFF", "output", STANDARD),
    Option("ios", "SIZE", "bytes of one record, a multiple of 512", "64K"),
    INDEXED,
)


def _run(arguments: Arguments) -> int:
    name, io_bytes = arguments.get("i"), arguments.number("ios")
    kind = WdiffKind.INDEXED if INDEXED.name in arguments else WdiffKind.SORTED
    with new_output(arguments.get("o"), [name]) as out:
        with open_input(name) as image:
            image_to_wdiff(image, out.fd, kind, LogOptions(folder=out.folder), io_bytes)
        out.commit()
    return DONE


TOOL = Tool(
    "wdiff-full",
    "",
    "Writes a whole image as a wdiff file of normal records, compressed with snappy, with uuid zero.",
    _OPTIONS,
    _run,
    notes=("Zeros are not looked for. An image whose size is no multiple of 512 bytes is refused.",),
)


def main() -> int:
    """Entry point."""
    return run_tool(TOOL)
