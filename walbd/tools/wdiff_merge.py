"""wdiff-merge: several wdiff files to one (wdiff-format.md section 7)."""

from __future__ import annotations

import resource
import sys

from walbd.model.compression import CompressOpt
from walbd.model.error import InvalidArgument
from walbd.tools.places import STANDARD, new_output, seekable_all
from walbd.tools.tool import DONE, Tool, run_tool
from walbd.tools.wlog_to_wdiff import max_io_lb
from walbd.wdiff.merge import merge_to_file
from walbd.wdiff.sorted_output import WdiffStatistics
from walbd.world.command_line import Arguments, Option, OptionError

_OPTIONS = (
    Option("i", "WDIFF", "files of either format, oldest first", is_necessary=True, is_list=True),
    Option("o", "WDIFF", "output, in the sorted format", STANDARD),
    Option("x", "SIZE", "longest record in bytes, a multiple of 512 (0: no limit)", "0"),
    Option("cmpr", "TYPE:LEVEL:THREADS", "compression: none, snappy, gzip, lzma, lz4, zstd; level 0-9", "snappy:0:1"),
    Option("stat", "", "print statistics on standard error"),
)


def statistics_line(n_files: int, s: WdiffStatistics) -> str:
    """`wdiffNr 3  nrN 4 nrZ 1 nrD 2  lbN 33 lbZ 1 lbD 6  dataSize 16896`."""
    return (
        f"wdiffNr {n_files}  nrN {s.n_normal} nrZ {s.n_zero} nrD {s.n_discard}  "
        f"lbN {s.normal_lb} lbZ {s.zero_lb} lbD {s.discard_lb}  dataSize {s.data_bytes}"
    )


def _compress(text: str) -> CompressOpt:
    try:
        return CompressOpt.parse(text)
    except InvalidArgument as error:
        raise OptionError(f"bad value:{text}") from error


def _run(arguments: Arguments) -> int:
    names, compress = arguments.lists["i"], _compress(arguments.get("cmpr"))
    limit = max_io_lb(arguments.get("x"))
    with new_output(arguments.get("o"), names) as out:
        with seekable_all(names) as paths:
            merged = merge_to_file(paths, out.fd, compress, limit)
        out.commit()
    if "stat" in arguments:
        peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"mergeIn  {statistics_line(len(names), merged.inputs)}", file=sys.stderr)
        print(f"mergeOut {statistics_line(1, merged.output)}", file=sys.stderr)
        print(f"mergeMemUsage {peak_kib}KiB", file=sys.stderr)
    return DONE


TOOL = Tool(
    "wdiff-merge",
    "",
    "Merges wdiff files to one that does the same as all of them in their order.",
    _OPTIONS,
    _run,
    notes=(
        "The output has the uuid of the inputs; inputs of different uuids are refused (an all-zero uuid is unknown and "
        "fits every other). `mergeMemUsage` is the peak memory of the whole program.",
    ),
)


def main() -> int:
    """Entry point."""
    return run_tool(TOOL)
