"""bdiff: compares two files block by block."""

from __future__ import annotations

from collections.abc import Iterator

from walbd.tools.places import open_input
from walbd.tools.tool import DONE, FAILED, Tool, run_tool
from walbd.wdiff.bdiff import compare_files
from walbd.world.command_line import Arguments, Option, OptionError, report

_OPTIONS = (
    Option("b", "SIZE", "block size in bytes", "512"),
    Option("v", "", "list the blocks that differ, with their contents"),
    Option("l", "SIZE", "bytes in a line of contents", "32"),
    Option("d", "", "no effect"),
)
_MAX_LINE = 4096


def _hex_lines(data: memoryview, line_bytes: int) -> Iterator[str]:
    for at in range(0, len(data), line_bytes):
        yield data[at : at + line_bytes].hex()


def _run(arguments: Arguments) -> int:
    block, line = arguments.number("b"), arguments.number("l")
    if not 1 <= line <= _MAX_LINE:
        raise OptionError(f"bad value:{line}")
    name_a, name_b = arguments.positional

    def show(number: int, a: memoryview, b: memoryview) -> None:
        print(f"block {number} differ")
        for data in (a, b):
            print("\n".join(_hex_lines(data, line)))

    with open_input(name_a) as file_a, open_input(name_b) as file_b:
        result = compare_files(file_a, file_b, block, show if "v" in arguments else None)
    print(f"{result.n_different}/{result.n_blocks} differs")
    if result.size_a_bytes != result.size_b_bytes:
        report(TOOL.name, f"{name_a} has {result.size_a_bytes} bytes, {name_b} {result.size_b_bytes}")
    return DONE if result.is_equal else FAILED


TOOL = Tool(
    "bdiff",
    "FILE1 FILE2",
    "Compares two files or devices block by block.",
    _OPTIONS,
    _run,
    2,
    2,
    statuses="the files differ, in content or size",
    notes=("Blocks up to the end of the shorter file are compared; one of the files may be `-`.",),
)


def main() -> int:
    """Entry point."""
    return run_tool(TOOL)
