"""wlog-show: prints a log file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from walbd.model.error import WalbError
from walbd.tools.places import STANDARD, open_input
from walbd.tools.tool import DONE, FAILED, JSON, NO_END, Tool, run_tool
from walbd.tools.wlog_text import (
    LogStatistics,
    header_line,
    header_object,
    pack_line,
    pack_object,
    record_line,
)
from walbd.wlog.pack import LogPack
from walbd.wlog.pack_walk import PackWalk
from walbd.world.command_line import Arguments, Option, report

_PARTS = (
    Option("head", "", "print the header"),
    Option("pack", "", "print packs and records"),
    Option("stat", "", "print statistics"),
)
_OPTIONS = (
    *_PARTS,
    Option("none", "", "print nothing"),
    Option("validate", "", "read the data and report records whose checksum is wrong"),
    NO_END,
    JSON,
    Option("b", "LSID", "no effect"),
    Option("e", "LSID", "no effect"),
)


class _Printer:
    """Prints what was asked for, as text or JSON."""

    def __init__(self, arguments: Arguments) -> None:
        chosen = {part.name for part in _PARTS if part.name in arguments}
        self.parts = set() if "none" in arguments else chosen or {part.name for part in _PARTS}
        self._is_json = JSON.name in arguments

    def show(self, part: str, value: dict[str, Any], lines: Iterable[str]) -> None:
        """Prints one thing that belongs to a part."""
        if part not in self.parts:
            return
        if self._is_json:
            print(json.dumps(value))
        else:
            for line in lines:
                print(line)


def _bad_data(walk: PackWalk, pack: LogPack) -> int:
    """How many records of a pack have wrong data; each is reported."""
    count = 0
    for record, data in walk.data(pack):
        if record.is_padding:
            continue
        checksum = walk.checksum(record, data)
        if checksum != record.csum:
            report(TOOL.name, f"NG:{record_line(record)}:{checksum:08x}")
            count += 1
    return count


def _run(arguments: Arguments) -> int:
    printer, n_bad = _Printer(arguments), 0
    with open_input(arguments.positional[0] if arguments.positional else STANDARD) as file:
        walk = PackWalk(file, strict=NO_END.name not in arguments)
        header = walk.header
        statistics = LogStatistics(header.pbs)
        printer.show("head", header_object(header), [header_line(header)])
        failure = None
        try:
            for pack in walk:
                lines = [pack_line(pack), *map(record_line, pack.records)]
                printer.show("pack", pack_object(pack), lines)
                statistics.add(pack)
                if "validate" in arguments:
                    n_bad += _bad_data(walk, pack)
        except WalbError as error:
            failure = error
        numbers = statistics.fields(header, walk.end_lsid)
        printer.show("stat", {"kind": "stat", **numbers}, (f"{key} {value}" for key, value in numbers.items()))
        if failure is not None:
            raise failure
    return FAILED if n_bad else DONE


TOOL = Tool(
    "wlog-show",
    "[WLOG]",
    "Prints a log file: header, packs with their records, statistics (all of them unless some are chosen).",
    _OPTIONS,
    _run,
    max_words=1,
    statuses="records with wrong data (-validate)",
    notes=(
        "WLOG is standard input when it is missing or `-`. Of several logs in one stream, the first is shown.",
        "Without `-validate` data are passed over. What precedes damage is printed before the error.",
        "JSON: one object for the header, one for each pack with its records, one for the statistics, told apart by "
        '`"kind"`: `header`, `pack`, `stat`.',
    ),
)


def main() -> int:
    """Entry point."""
    return run_tool(TOOL)
