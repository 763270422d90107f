"""wdiff-redo: applies a wdiff to a device or image (wdiff-format.md section 9.4)."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from walbd._core import lib
from walbd.model.error import StorageFailure
from walbd.model.limits import LB_BYTES
from walbd.tools.places import STANDARD, open_target, refuse_same, seekable
from walbd.tools.tool import DONE, FAILED, VERBOSE, Tool, run_tool
from walbd.tools.wlog_redo import DISCARD_OPTIONS
from walbd.tools.work import shown
from walbd.wdiff.apply import Discard, apply_wdiffs
from walbd.wdiff.reader import RecordKind, WdiffReader, WdiffRecord
from walbd.world.command_line import Arguments, Option, report

_KIND_NAMES = {RecordKind.NORMAL: "Normal", RecordKind.ZERO: "Allzero", RecordKind.DISCARD: "Discard"}


@dataclass(slots=True)
class _Content:
    """What a diff holds for an image of some size: records by kind, blocks, and the records that do not fit."""

    counts: dict[RecordKind, int] = field(default_factory=lambda: dict.fromkeys(RecordKind, 0))
    n_blocks: int = 0
    outside: list[WdiffRecord] = field(default_factory=list)


def _examine(path: Path, size_lb: int, discard: Discard) -> _Content:
    content = _Content()
    with WdiffReader(path) as reader:
        for record in reader:
            if record.address_lb + record.blocks_lb > size_lb:
                content.outside.append(record)
            elif record.kind is not RecordKind.DISCARD or discard is not Discard.IGNORE:
                content.counts[record.kind] += 1
                content.n_blocks += record.blocks_lb
    return content


def _apply_inside(path: Path, fd: int, size_lb: int, discard: Discard) -> None:
    """Applies the records that fit, one by one: for a diff of a volume that is larger than the image."""
    with WdiffReader(path) as reader:
        for record in reader:
            if record.address_lb + record.blocks_lb > size_lb:
                continue
            if record.kind is RecordKind.NORMAL:
                _write(fd, reader.data(record), record.address_lb * LB_BYTES)
            elif record.kind is RecordKind.ZERO or discard is not Discard.IGNORE:
                result = lib.walb_zero_range(fd, record.address_lb * LB_BYTES, record.blocks_lb * LB_BYTES)
                if result:
                    raise StorageFailure(f"image: cannot write zeros: {os.strerror(-result)}")
    os.fsync(fd)


def _write(fd: int, data: bytes, place: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(fd, view, place)
        view, place = view[count:], place + count


def _discard(arguments: Arguments) -> Discard:
    if "d" in arguments:
        return Discard.PASSDOWN
    return Discard.ZERO if "z" in arguments else Discard.IGNORE


def _run(arguments: Arguments) -> int:
    source, target, discard = arguments.get("i"), arguments.positional[0], _discard(arguments)
    refuse_same(target, [source])
    with seekable(source) as path, open_target(target) as (fd, size_lb):
        content = _examine(path, size_lb, discard)
        if content.outside:
            _apply_inside(path, fd, size_lb, discard)
        else:
            with shown(TOOL.name, size_lb * LB_BYTES) as progress:
                apply_wdiffs(fd, size_lb, [path], discard, progress=lambda lb: progress(lb * LB_BYTES))
    counts = content.counts
    print(f"nIoTotal {sum(counts.values())}\nnIoNormal {counts[RecordKind.NORMAL]}")
    print(f"nIoDiscard {counts[RecordKind.DISCARD]}\nnIoAllZero {counts[RecordKind.ZERO]}\nnBlocks {content.n_blocks}")
    for record in content.outside:
        print(f"Failed to redo: {record.address_lb} {record.blocks_lb} {_KIND_NAMES[record.kind]}")
    if content.outside:
        report(TOOL.name, f"{len(content.outside)} records do not lie on {target} of {size_lb * LB_BYTES} bytes")
        return FAILED
    return DONE


TOOL = Tool(
    "wdiff-redo",
    "DEVICE",
    "Applies a wdiff file to a block device or image file and syncs it.",
    (Option("i", "WDIFF", "wdiff file of either format", STANDARD), *DISCARD_OPTIONS, VERBOSE),
    _run,
    1,
    1,
    statuses="records that do not lie wholly on DEVICE: each is printed and left out, the others are applied",
    notes=(
        "Without `-d` and `-z` discards are left out, as in the reference; the image then differs from the device "
        "wherever it was discarded. Every record is looked at before anything is written; data are verified as they "
        "are applied. Applying the same file again, or after an interruption, gives the same image.",
    ),
)


def main() -> int:
    """Entry point."""
    return run_tool(TOOL)
