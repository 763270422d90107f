"""wdiff-show: prints wdiff files (wdiff-format.md sections 7.7 and 13.3)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from walbd.model.error import Corrupted
from walbd.tools.places import STANDARD, name_of, seekable
from walbd.tools.tool import DONE, FAILED, JSON, Tool, run_tool
from walbd.tools.wdiff_blocks import INDEXED, ShownRecord, WdiffBlocks
from walbd.wdiff.reader import RecordKind, WdiffReader
from walbd.world.command_line import Arguments, Option, OptionError, report

_OPTIONS = (
    Option("search", "", "print only records that contain the block of -addr"),
    Option("addr", "LB", "an address in blocks of 512 bytes"),
    Option("stat", "", "print statistics of all files"),
    Option("nohead", "", "do not print headers"),
    Option("norec", "", "do not print records"),
    Option("csum", "", "read the data, verify their checksums and decode them"),
    JSON,
)
_KIND_NAMES = ("sorted", "indexed")
_CHECKSUMS = ("checksum", "io_checksum", "rec_checksum")
_MAX_FILES = 1 << 20


@dataclass(slots=True)
class ShownStatistics:
    """Counts over files; the names are the reference's, which counts indexed files only as wdiffNr."""

    wdiffNr: int = 0
    normalNr: int = 0
    allZeroNr: int = 0
    discardNr: int = 0
    normalLb: int = 0
    allZeroLb: int = 0
    discardLb: int = 0
    dataSize: int = 0

    def add(self, record: ShownRecord) -> None:
        """Counts a record."""
        kind = "allZero" if record.is_zero else "discard" if record.is_discard else "normal"
        setattr(self, f"{kind}Nr", getattr(self, f"{kind}Nr") + 1)
        setattr(self, f"{kind}Lb", getattr(self, f"{kind}Lb") + record.blocks_lb)

    def fields(self) -> dict[str, int]:
        """In the order of the lines."""
        return {name: getattr(self, name) for name in self.__slots__}


class _Show:
    """Prints files; is_bad becomes true when something is wrong in one."""

    def __init__(self, arguments: Arguments) -> None:
        self._address = arguments.number("addr") if "addr" in arguments else None
        if "search" in arguments and self._address is None:
            raise OptionError("opt is necessary:addr")
        if "search" not in arguments:
            self._address = None
        self._has_head, self._has_records = "nohead" not in arguments, "norec" not in arguments
        self._reads_data, self._is_json = "csum" in arguments, JSON.name in arguments
        self.statistics = ShownStatistics()
        self.is_bad = False

    def file(self, name: str) -> None:
        """Prints one file; what is wrong is reported when everything that can be read is printed."""
        try:
            with seekable(name) as path:
                try:
                    self._blocks(name, path)
                except Corrupted as error:
                    raise Corrupted(f"{name_of(name)}: {error.message}") from error
                self._verify(path)
        except Corrupted as error:
            self.is_bad = True
            report(TOOL.name, str(error))

    def _blocks(self, name: str, path: Path) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            blocks = WdiffBlocks(fd)
            if self._has_head:
                self._header(name, blocks)
            self.statistics.wdiffNr += blocks.header.kind == INDEXED
            try:
                for record in blocks.records():
                    self.statistics.add(record)
                    self._record(blocks, record)
            finally:
                self.statistics.dataSize += blocks.data_bytes
        finally:
            os.close(fd)

    def _verify(self, path: Path) -> None:
        """Every rule of the format, which what was printed may break."""
        with WdiffReader(path) as reader:
            for record in reader:
                if self._reads_data and record.kind is RecordKind.NORMAL:
                    reader.data(record)

    def _header(self, name: str, blocks: WdiffBlocks) -> None:
        header = blocks.header
        shown = {
            "checksum": f"{header.checksum:08x}",
            "version": header.version,
            "type": _KIND_NAMES[header.kind],
            "uuid": header.uuid.hex(),
        }
        if self._is_json:
            print(json.dumps({"kind": "header", "file": name, **shown}))
        else:
            print("wdiff_h:\n" + "\n".join(f"  {key}: {value}" for key, value in shown.items()))

    def _record(self, blocks: WdiffBlocks, r: ShownRecord) -> None:
        is_wanted = self._address is None or r.address_lb <= self._address < r.address_lb + r.blocks_lb
        if not self._has_records or not is_wanted:
            return
        wrong = list(self._wrong(blocks, r))
        shown = {key: f"{value:08x}" if key in _CHECKSUMS else value for key, value in r.fields.items()}
        if self._is_json:
            record: dict[str, Any] = {
                "kind": "record", "address": r.address_lb, "blocks": r.blocks_lb, "compression": r.codec_name, **shown,
                "flags": r.flags,
            }  # fmt: skip
            print(json.dumps(record | ({"errors": wrong} if wrong else {})))
            return
        columns = [f"wdiff_{_KIND_NAMES[blocks.header.kind]}_rec:", r.address_lb, r.blocks_lb, r.codec_name]
        line = "\t".join(map(str, [*columns, *shown.values(), r.flags]))
        print(line + "".join(f" {text}" for text in wrong))

    def _wrong(self, blocks: WdiffBlocks, r: ShownRecord) -> Iterator[str]:
        if not r.is_valid:
            yield "invalid record"
        elif self._reads_data and not (r.is_zero or r.is_discard):
            checksum = blocks.data_checksum(r)
            if checksum != r.stored_checksum:
                yield f"invalid data checksum: {checksum:08x}"


def _run(arguments: Arguments) -> int:
    show = _Show(arguments)
    for name in arguments.positional or [STANDARD]:
        show.file(name)
    if "stat" in arguments:
        numbers = show.statistics.fields()
        if JSON.name in arguments:
            print(json.dumps({"kind": "stat", **numbers}))
        else:
            print("\n".join(f"wdiff_stat: {key} {value}" for key, value in numbers.items()))
    return FAILED if show.is_bad else DONE


TOOL = Tool(
    "wdiff-show",
    "[WDIFF...]",
    "Prints wdiff files of either format.",
    _OPTIONS,
    _run,
    max_words=_MAX_FILES,
    statuses="a file that breaks a rule of the format",
    notes=(
        "Standard input is read when no file is named. Everything that can be read of a damaged file is printed: ` "
        "invalid record` and ` invalid data checksum: X` stand behind records; what is wrong with a file is reported"
        " on standard error. Columns of a sorted file: address, blocks, compression, data offset in the pack, stored"
        " bytes, their checksum, flags (`Z` all-zero, `D` discard); of an indexed one: address, blocks, compression,"
        " data offset in the file, stored bytes, blocks of the image, first block in it, checksum of the stored "
        "bytes, that of the record, flags. `wdiffNr` counts indexed files only, as in the reference.",
        'JSON: objects told apart by `"kind"`: `header`, `record`, `stat`.',
    ),
)


def main() -> int:
    """Entry point."""
    return run_tool(TOOL)
