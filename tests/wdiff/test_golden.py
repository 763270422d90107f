"""Golden wdiffs of the reference implementation."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Vectors
from tests.golden_files import Golden
from tests.wdiff.wdiff_oracle import DISCARD
from tests.wdiff.wdiff_testing import Conversion, apply, convert, convert_files, feeding, merge, receive
from walbd.model.compression import CompressOpt
from walbd.model.error import BadState, Corrupted
from walbd.model.limits import MAX_IO_LB
from walbd.wdiff.apply import Discard
from walbd.wdiff.bdiff import compare_files
from walbd.wdiff.builder import LogOptions
from walbd.wdiff.full import image_to_wdiff
from walbd.wdiff.hashes import BulkHash, hash_chunks, murmur3, siphash
from walbd.wdiff.indexed import log_to_indexed
from walbd.wdiff.merge import merge_to_file
from walbd.wdiff.reader import RecordKind, WdiffKind, WdiffReader, WdiffRecord
from walbd.wdiff.sorted import log_to_sorted
from walbd.wdiff.virtual import write_virtual

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


def decoded(path: Path) -> list[tuple[int, int, int, bytes]]:
    """Records with their data."""
    with WdiffReader(path) as reader:
        return [
            (r.address_lb, r.blocks_lb, int(r.kind), reader.data(r) if r.kind is RecordKind.NORMAL else b"")
            for r in reader
        ]


def without_cuts(records: list[tuple[int, int, int, bytes]]) -> list[tuple[int, int, int, bytes]]:
    """Neighbouring zeros or discards joined: the reference cuts them to one MiB, this does not."""
    result: list[tuple[int, int, int, bytes]] = []
    for address, blocks, kind, data in records:
        if result and kind != RecordKind.NORMAL and result[-1][2] == kind and sum(result[-1][:2]) == address:
            result[-1] = (result[-1][0], result[-1][1] + blocks, kind, b"")
        else:
            result.append((address, blocks, kind, data))
    return result


@pytest.mark.parametrize("is_pipe", [False, True])
def test_every_log_file_becomes_the_same_wdiff(golden: Golden, tmp_path: Path, is_pipe: bool) -> None:
    count = 0
    for entry in golden.expected["wdiff"]:
        options = (entry.get("options") or "").split()
        if "from_wlog" not in entry:
            continue
        max_io_lb = int(options[options.index("-x") + 1]) // 512 if "-x" in options else MAX_IO_LB
        conversion = log_to_indexed if "-indexed" in options else log_to_sorted
        chosen = LogOptions(max_io_lb, 2, tmp_path)
        convert_files(conversion, [golden(entry["from_wlog"])], tmp_path / "ours", chosen, is_pipe)
        ours, theirs = decoded(tmp_path / "ours"), decoded(golden(entry["file"]))
        if any(r[2] != RecordKind.NORMAL and r[1] >= MAX_IO_LB // 2 for r in theirs) or "-x" in options:
            ours, theirs = without_cuts(ours), without_cuts(theirs)
        assert ours == theirs, entry["file"]
        count += 1
    assert count > 35


@pytest.mark.parametrize("is_pipe", [False, True])
def test_log_files_in_one_stream_become_one_wdiff(golden: Golden, tmp_path: Path, is_pipe: bool) -> None:
    for entry in golden.expected["wlog_stream"]:
        path = golden(entry["file"])
        ended: list[int] = []
        with ExitStack() as stack:
            stream = stack.enter_context(feeding(path.read_bytes()) if is_pipe else FileIO(path))
            out = stack.enter_context(open(tmp_path / "ours", "wb", buffering=0))
            converted = log_to_sorted([stream], out.fileno(), LogOptions(folder=tmp_path), ended.append)
        assert converted.end_lsid == entry["all_end_lsid"]
        assert ended == [entry["first_only"]["real_end_lsid"], entry["all_end_lsid"]]
        assert without_cuts(decoded(tmp_path / "ours")) == without_cuts(decoded(golden(entry["to_wdiff"])))


@pytest.mark.parametrize("conversion", [log_to_sorted, log_to_indexed])
def test_every_damaged_log_file_gets_its_verdict(golden: Golden, tmp_path: Path, conversion: Conversion) -> None:
    """`end` (a block that is no pack in the place of one) is an error when the log must be complete."""
    count = 0
    for case in golden.expected["damaged"]["cases"]:
        if case.get("kind") != "wlog" and not case["file"].endswith((".wlog", ".wlogs")):
            continue
        count += 1
        for is_pipe in (False, True):
            for strict in (False, True):
                options = LogOptions(folder=tmp_path, strict=strict)
                is_good = case["verdict"] == "accept" or (case["verdict"] == "end" and not strict)
                try:
                    convert_files(conversion, [golden(case["file"])], tmp_path / "ours", options, is_pipe)
                except Corrupted as error:
                    assert not is_good, f"{case['file']}: {error}"
                else:
                    assert is_good or not golden(case["file"]).stat().st_size, case
    assert count > 30


def test_every_merge_is_written_with_any_number_of_threads(golden: Golden, tmp_path: Path) -> None:
    for case in golden.expected["merge"]["cases"]:
        paths = [golden(name) for name in case["inputs"]]
        max_io_lb = int(case["options"].split("-x ")[1].split()[0]) // 512 if "-x " in case["options"] else 0
        contents = []
        for text in ("snappy:0:1", "snappy:0:3", "zstd:1:2", "none:0:2"):
            with open(tmp_path / "ours", "wb", buffering=0) as out:
                try:
                    merged = merge_to_file(paths, out.fileno(), CompressOpt.parse(text), max_io_lb)
                except Corrupted as error:
                    assert "the uuid is not that of the diffs before" in str(error)
                    break
            records = [shape(record) for record in records_of(tmp_path / "ours")]
            assert records == [record[:3] for record in case["records"]] or max_io_lb, case["name"]
            assert extents(records) == case["extents"], case["name"]
            assert merged.size_bytes == (tmp_path / "ours").stat().st_size
            stat = case["stat"]
            counts = (stat["normalNr"], stat["normalLb"], stat["discardLb"], stat["allZeroLb"])
            output = merged.output
            assert (output.n_normal, output.normal_lb, output.discard_lb, output.zero_lb) == counts or max_io_lb
            contents.append((tmp_path / "ours").read_bytes())
        assert contents[:1] == contents[1:2]


def test_every_virtual_image_is_that_of_the_reference(golden: Golden, tmp_path: Path) -> None:
    count = 0
    for case in golden.expected["virtual_full"]["cases"]:
        if case["exit"] != 0:
            continue
        base = golden(case["base"])
        try:
            with open(base, "rb") as file, open(tmp_path / "ours", "wb") as out:
                paths = [golden(name) for name in case["diffs"]]
                write_virtual(file.fileno(), paths, base.stat().st_size, out.fileno())
        except Corrupted as error:
            assert "the uuid is not that of the diffs before" in str(error)
            continue
        assert hashlib.sha256((tmp_path / "ours").read_bytes()).hexdigest() == case["sha256"], case
        count += 1
    assert count > 15


@pytest.mark.parametrize("name, io_bytes", [("full", 65536), ("full-16k", 16384), ("full", 65536), ("full-8k", 8192)])
def test_an_image_becomes_the_same_wdiff(golden: Golden, tmp_path: Path, name: str, io_bytes: int) -> None:
    for kind in WdiffKind:
        theirs = f"wdiff/{name}.{kind.name.lower()}.wdiff"
        if theirs not in golden.expected["files"]:
            continue
        with FileIO(golden("wdiff/full.img")) as image, open(tmp_path / "ours", "wb", buffering=0) as out:
            image_to_wdiff(image, out.fileno(), kind, LogOptions(folder=tmp_path), io_bytes)
        assert decoded(tmp_path / "ours") == decoded(golden(theirs)), theirs


def test_hashes_of_files_are_those_of_the_reference(golden: Golden) -> None:
    for case in golden.expected["siphash"]["cases"]:
        if case["input"] != "file" or case["file"] is None:
            continue
        options, path = case["options"], golden(case["file"])
        offset = options.get("off", 0)
        size = min(options.get("size", path.stat().st_size), path.stat().st_size // 512 * 512 - offset)
        with open(path, "rb") as file:
            chunk = options.get("chunk", max(size, 1))
            digests = b"".join(hash_chunks(file.fileno(), chunk, offset, size))
        seen = [digests[at : at + 16].hex() for at in range(0, len(digests), 16)]
        assert seen == ([case["whole"]] if "whole" in case else [digest for _, digest in case["chunks"]]), case
    for case in golden.expected["siphash"]["short_messages"]:
        assert siphash(bytes.fromhex(case["message_hex"])).hex() == case["hash"]
    for case in golden.expected["murmur3"]["cases"]:
        at = case["addr_lb"] * 512
        data = golden(case["file"]).read_bytes()[at : at + case["blocks"] * 512]
        assert murmur3(data, case["seed"]).hex() == case["hash"]
    for case in golden.expected["murmur3"]["stream"]["cases"]:
        bulk = BulkHash(case["bulk_lb"] * 512)
        bulk.update(golden(case["file"]).read_bytes())
        assert bulk.digest().hex() == case["hash"]


def test_files_are_compared_as_by_the_reference(golden: Golden) -> None:
    for case in golden.expected["bdiff"]["cases"]:
        _, size, a, b = case["args"].split()
        with FileIO(golden(a)) as file_a, FileIO(golden(b)) as file_b:
            found = compare_files(file_a, file_b, int(size))
        assert f"{found.n_different}/{found.n_blocks} differs" == case["stdout"]


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
        for codec in ("none:0:1", "snappy:0:1", "lzma:1:1"):
            with pytest.raises(Corrupted, match=rf"{path.name}: offset \d+: "):
                merge([path], CompressOpt.parse(codec))
        if case["verdict"] == "accept-prefix":
            with WdiffReader(path) as reader, pytest.raises(Corrupted):
                before = next(iter(reader))
                list(reader)
            assert before.address_lb == 0
    assert count == 52
