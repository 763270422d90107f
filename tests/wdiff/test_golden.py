"""Golden wdiffs of the reference implementation."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Vectors
from tests.golden_files import Golden
from tests.wdiff.wdiff_oracle import DISCARD
from tests.wdiff.wdiff_testing import apply, convert, merge, receive
from walbd.model.compression import CompressOpt
from walbd.model.error import BadState, Corrupted
from walbd.wdiff.apply import Discard
from walbd.wdiff.reader import RecordKind, WdiffReader, WdiffRecord

FLAGS = {RecordKind.NORMAL: "--", RecordKind.ZERO: "Z-", RecordKind.DISCARD: "-D"}
LETTER = {"--": "N", "Z-": "Z", "-D": "D"}


@pytest.fixture(scope="module")
def golden(vectors: Vectors, tmp_path_factory: pytest.TempPathFactory) -> Golden:
    return Golden(vectors, tmp_path_factory.mktemp("golden"))


def records_of(path: Path) -> list[WdiffRecord]:
    """All records; all data are read and verified."""
    with WdiffReader(path) as reader:
        records = list(reader)
        for record in records:
            if record.kind is RecordKind.NORMAL:
                reader.data(record)
    return records


def shape(record: WdiffRecord) -> list[Any]:
    return [record.address_lb, record.blocks_lb, FLAGS[record.kind]]


def extents(shapes: list[list[Any]]) -> list[list[Any]]:
    """Neighbours of one kind joined."""
    result: list[list[Any]] = []
    for address, blocks, flags in shapes:
        if result and result[-1][0] + result[-1][1] == address and result[-1][2] == LETTER[flags]:
            result[-1][1] += blocks
        else:
            result.append([address, blocks, LETTER[flags]])
    return result


def redos(entry: dict[str, Any]) -> Iterator[dict[str, Any]]:
    redo = entry.get("redo", [])
    yield from redo if isinstance(redo, list) else [redo]


def check_redo(paths: list[Path], redo: dict[str, Any]) -> bool:
    """Applies to the image described; False when a record lies behind it, which the reference skips and we refuse."""
    discard = Discard.ZERO if redo["discard"] == "zeroed" else Discard.IGNORE
    try:
        image, _ = apply(bytes.fromhex(redo["fill"]) * redo["image_size"], paths, discard)
    except BadState:
        return False
    assert hashlib.sha256(image).hexdigest() == redo["sha256"], paths
    return True


def test_every_wdiff_is_read_record_by_record(golden: Golden) -> None:
    for entry in golden.expected["wdiff"]:
        path = golden(entry["file"])
        records = records_of(path)
        seen = [[*shape(r), str(r.codec)] for r in records]
        assert seen == [expected[:4] for expected in entry["records"]], entry["file"]
        with WdiffReader(path) as reader:
            assert reader.header.uuid.hex() == entry["header"]["uuid"]
            assert reader.header.kind.name.lower() == entry["header"]["type"]


def test_every_wdiff_is_applied_to_the_same_image(golden: Golden) -> None:
    done = [check_redo([golden(e["file"])], redo) for e in golden.expected["wdiff"] for redo in redos(e)]
    assert done.count(True) > 100 and done.count(False) < 10


def test_every_log_becomes_the_same_indexed_wdiff(golden: Golden) -> None:
    logs = {entry["file"]: entry for entry in golden.expected["wlog"]}
    count = 0
    for entry in golden.expected["wdiff"]:
        if entry.get("options") != "-indexed" or entry.get("from_wlog") not in logs:
            continue
        log = logs[entry["from_wlog"]]
        header = log["header"]
        size = (log["real_end_lsid"] - header["begin_lsid"]) * header["pbs"]
        content = golden(entry["from_wlog"]).read_bytes()[4096 : 4096 + size]
        path = golden(entry["file"]).name + ".ours"
        ours = golden.folder / path
        salt, uuid = int(header["salt"], 16), bytes.fromhex(header["uuid"])
        converted = convert(ours, content, header["pbs"], 100_000, salt, header["begin_lsid"], uuid)
        assert converted.end_lsid == log["real_end_lsid"]
        records = [shape(record) for record in records_of(ours)]
        expected = [record[:3] for record in entry["records"]]
        assert extents(records) == entry["extents"], entry["file"]
        # Discards are not cut to one MiB here.
        assert [r for r in records if r[2] != FLAGS[DISCARD]] == [r for r in expected if r[2] != FLAGS[DISCARD]]
        for redo in redos(entry):
            check_redo([ours], redo)
        count += 1
    assert count > 10


def test_every_merge_has_the_same_records_and_image(golden: Golden, tmp_path: Path) -> None:
    refused = []
    for case in golden.expected["merge"]["cases"]:
        paths = [golden(name) for name in case["inputs"]]
        try:
            stream = merge(paths, CompressOpt.parse("zstd:1:1"))
        except Corrupted as error:
            assert "the uuid is not that of the diffs before" in str(error)
            refused.append(case["name"])
            continue
        receive(tmp_path / "merged", stream)
        records = [shape(record) for record in records_of(tmp_path / "merged")]
        assert extents(records) == case["extents"], case["name"]
        if "-x" not in case["options"]:
            assert records == [record[:3] for record in case["records"]], case["name"]
        for redo in redos(case):
            check_redo([tmp_path / "merged"], redo)
            check_redo(paths, redo)
    assert sorted(refused) == ["bigdiscard", "overwrite-uuids", "with-empty"]


def test_a_virtual_image_is_the_base_with_the_diffs_applied(golden: Golden) -> None:
    count = 0
    for case in golden.expected["virtual_full"]["cases"]:
        if case["exit"] != 0 or not case["equals_sequential_redo"]:
            continue
        try:
            image, _ = apply(golden(case["base"]).read_bytes(), [golden(name) for name in case["diffs"]])
        except (BadState, Corrupted):
            continue
        assert hashlib.sha256(image).hexdigest() == case["sha256"], case
        count += 1
    assert count > 10


def test_every_damaged_wdiff_gets_its_verdict(golden: Golden) -> None:
    count = 0
    for case in golden.expected["damaged"]["cases"]:
        if not case["file"].startswith(("damaged/s-", "damaged/i-")):
            continue
        count += 1
        path = golden(case["file"])
        image = bytes(1 << 20)
        if case["verdict"] == "accept":
            records_of(path)
            apply(image, [path])
            merge([path], CompressOpt.parse("lzma:1:1"))
            continue
        with pytest.raises(Corrupted, match=rf"{path.name}: offset \d+: "):
            records_of(path)
        with pytest.raises(Corrupted, match=rf"{path.name}: offset \d+: "):
            apply(image, [path])
        if case["verdict"] == "accept-prefix":
            with WdiffReader(path) as reader, pytest.raises(Corrupted):
                before = next(iter(reader))
                list(reader)
            assert before.address_lb == 0
    assert count == 52
