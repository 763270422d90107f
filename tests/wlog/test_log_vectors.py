"""Golden logs and log devices of the reference: what they say, what their redo gives, how damage is judged."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
import zstandard

from tests.wlog.test_log_stream import Events
from walbd._core import lib
from walbd.model.error import Corrupted
from walbd.wlog.log_file import LogFileHeader, LogFileReader
from walbd.wlog.recovery import recover
from walbd.wlog.redo import LogRedo, redo_ring
from walbd.wlog.ring import read_ring
from walbd.wlog.source import LogSource
from walbd.wlog.stream import END, MORE
from walbd.wlog.super_sector import SuperSector, read_super_sector

Golden = Callable[..., Path]
MAX_FILE_BYTES = 64 << 20


@pytest.fixture
def expected(vectors: Golden) -> dict[str, Any]:
    """What the reference says of all files."""
    return dict(json.loads(vectors("formats", "expected.json").read_text()))


class Files:
    """Content of golden files by name."""

    def __init__(self, vectors: Golden, expected: dict[str, Any]) -> None:
        self._vectors, self._entries = vectors, expected["files"]

    def __call__(self, name: str) -> bytes:
        entry = self._entries[name]
        data = self._vectors("formats", *entry["stored"].split("/")).read_bytes()
        if entry["stored"].endswith(".zst"):
            data = zstandard.ZstdDecompressor().decompress(data, max_output_size=MAX_FILE_BYTES)
        assert hashlib.sha256(data).hexdigest() == entry["sha256"]
        return data


@pytest.fixture
def content(vectors: Golden, expected: dict[str, Any]) -> Files:
    return Files(vectors, expected)


@contextmanager
def image(data: bytes) -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        yield file


def header_of(entry: dict[str, Any]) -> LogFileHeader:
    head = entry["header"]
    uuid, salt = bytes.fromhex(head["uuid"]), int(head["salt"], 16)
    return LogFileHeader(head["pbs"], salt, uuid, head["begin_lsid"], head["end_lsid"])


def sha_of(file: IO[bytes], size: int) -> str:
    return hashlib.sha256(os.pread(file.fileno(), size, 0)).hexdigest()


class PackEvents(Events):
    """Collects packs and their records as the reference prints them."""

    def records(self) -> list[list[Any]]:
        pack = self.stream.pack
        return [
            [r.lsid, r.lsid_local, r.offset_lb, r.size_lb, flags_text(r.flags), f"{r.csum:08x}"]
            for r in pack.records[0 : pack.n_records]
        ]


def flags_text(flags: int) -> str:
    return "".join(letter if flags & 1 << bit else "-" for bit, letter in enumerate("EPD"))


def packs_of(log: bytes, header: LogFileHeader) -> list[dict[str, Any]]:
    """Feeds block by block, so that each pack is seen when its header was."""
    events, packs, end = PackEvents(header.pbs, header.salt, header.begin_lsid), [], header.begin_lsid
    for at in range(0, len(log), header.pbs):
        starts = lib.walb_log_at_boundary(events.stream)
        assert events.feed(log[at : at + header.pbs]) == MORE
        if starts:
            pack = events.stream.pack
            end = pack.lsid + 1 + pack.total_pb
            packs.append(
                {"lsid": pack.lsid, "total_io_size": pack.total_pb, "n_records": pack.n_records,
                 "n_padding": pack.n_padding, "records": events.records()}
            )  # fmt: skip
    assert events.stream.next_lsid == end
    return packs


def log_of(data: bytes, *, strict: bool) -> tuple[LogFileHeader, bytes, str]:
    """Header, log and error of a file."""
    reader, log = LogFileReader(io.BytesIO(data), strict=strict), b""
    try:
        for chunk in reader.chunks():
            log += chunk
    except Corrupted as error:
        return reader.header, log, error.message
    return reader.header, log, ""


def test_every_golden_log_is_read_as_the_reference_reads_it(expected: dict[str, Any], content: Files) -> None:
    assert expected["wlog"]
    for entry in expected["wlog"]:
        data = content(entry["file"])
        header, log, error = log_of(data, strict=entry["bytes_after_last_pack"] > 0)
        assert (header, error) == (header_of(entry), ""), entry["file"]
        assert header.begin_lsid + len(log) // header.pbs == entry["real_end_lsid"]
        if len(log) > 1 << 20:
            continue
        without_checksum = [{k: v for k, v in pack.items() if k != "checksum"} for pack in entry["packs"]]
        assert packs_of(log, header) == without_checksum, entry["file"]


def test_a_log_without_an_end_block_is_an_error_in_strict_mode(expected: dict[str, Any], content: Files) -> None:
    cut = [entry for entry in expected["wlog"] if entry["bytes_after_last_pack"] == 0]
    assert cut
    for entry in cut:
        assert "end block" in log_of(content(entry["file"]), strict=True)[2]


def test_redo_of_every_golden_log_gives_the_image_of_the_reference(expected: dict[str, Any], content: Files) -> None:
    for entry in expected["wlog"]:
        header, log, _ = log_of(content(entry["file"]), strict=False)
        for case in entry["redo"]:
            with image(bytes.fromhex(case["fill"]) * case["image_size"]) as file:
                redo = LogRedo(
                    header.pbs, header.salt, header.begin_lsid, file.fileno(), case["image_size"] // 512,
                    ignores_discards=case["discard"] == "ignored",
                )  # fmt: skip
                assert redo.feed(memoryview(log)) == MORE
                assert sha_of(file, case["image_size"] + 1) == case["sha256"], (entry["file"], case)
            assert [header.begin_lsid, redo.next_lsid] == case["applied_lsid"]
            assert redo.outside_count == case.get("skipped_records", 0)
            assert redo.padding_pb == entry["stat"]["paddingPb"]
            assert redo.pack_count == entry["n_packs"]


def test_two_logs_of_one_stream_are_read_one_after_the_other(expected: dict[str, Any], content: Files) -> None:
    (case,) = expected["wlog_stream"]
    reader = LogFileReader(io.BytesIO(content(case["file"])))
    ends = []
    while True:
        for _ in reader.chunks():
            pass
        ends.append(reader.end_lsid)
        if not reader.next_file():
            break
    assert ends == [case["first_only"]["real_end_lsid"], case["all_end_lsid"]]


def super_of(entry: dict[str, Any]) -> SuperSector:
    said = entry["super"]
    return SuperSector(
        said["pbs"], said["salt"], bytes.fromhex(said["uuid"]), said["name"], said["ringBufferSize"],
        said["oldestLsid"], said["writtenLsid"], said["deviceSize"],
    )  # fmt: skip


def test_every_golden_super_sector_is_read_and_written_alike(expected: dict[str, Any], content: Files) -> None:
    assert expected["log_device"]
    for entry in expected["log_device"]:
        with image(content(entry["file"])) as ldev:
            found = read_super_sector(ldev.fileno())
            assert found == super_of(entry)
            assert found.ring_offset_pb == entry["super"]["ringBufferOffset"]
            assert int.from_bytes(found.pack()[4:8], "little") == entry["super"]["checksum"]


def test_the_log_of_a_golden_device_is_that_of_the_reference(expected: dict[str, Any], content: Files) -> None:
    for entry in expected["log_device"]:
        with image(content(entry["file"])) as ldev:
            found = read_super_sector(ldev.fileno())
            for case in (case for case in entry["cat"] if not case["options"] and "torn" not in entry["file"]):
                source, log = LogSource(ldev.fileno(), found, found.oldest_lsid), b""
                buffer = memoryview(bytearray(100000))
                while count := source.read(buffer, case["real_end_lsid"]):
                    log += buffer[:count]
                assert source.end_lsid == case["real_end_lsid"]
                if case.get("file"):
                    assert log == log_of(content(case["file"]), strict=True)[1]
            for case in entry["dump"]:
                dump = bytearray(case["size"])
                read_ring(ldev.fileno(), found, case["begin"], memoryview(dump))
                assert hashlib.sha256(dump).hexdigest() == case["sha256"]


def test_recovery_of_a_golden_device_gives_what_the_reference_gives(expected: dict[str, Any], content: Files) -> None:
    for entry in expected["log_device"]:
        data = content(entry["file"])
        for case in entry["redo"]:
            size = max(case["image_size"], entry["super"]["deviceSize"] * 512)
            with image(data) as ldev, image(bytes.fromhex(case["fill"]) * size) as ddev:
                found = read_super_sector(ldev.fileno())
                if case["discard"] == "ignored":
                    redo = LogRedo(
                        found.pbs, found.salt, found.written_lsid, ddev.fileno(), size // 512, ignores_discards=True
                    )
                    redo_ring(ldev.fileno(), found, redo)
                else:
                    recovered = recover(ldev.fileno(), ddev.fileno(), found, window_pb=0)
                    assert recovered.super_sector.written_lsid == case["super_after"]["writtenLsid"]
                    assert sha_of(ldev, len(data)) == case["log_device_sha256_after"], entry["file"]
                assert sha_of(ddev, case["image_size"]) == case["sha256"], entry["file"]


def test_the_stale_packs_of_a_torn_golden_device_are_invalidated(expected: dict[str, Any], content: Files) -> None:
    torn = [entry for entry in expected["log_device"] if "torn" in entry["file"]]
    assert torn
    for entry in torn:
        with image(content(entry["file"])) as ldev, image(bytes(entry["super"]["deviceSize"] * 512)) as ddev:
            recovered = recover(ldev.fileno(), ddev.fileno(), read_super_sector(ldev.fileno()))
            behind = [p for p in entry["show"]["packs"] if p["lsid"] > recovered.super_sector.written_lsid]
            assert recovered.stale_count == len(behind) > 0


def judge(data: bytes) -> tuple[bool, int, str]:
    """(refused at once, end lsid, error) of a file in lenient mode."""
    try:
        reader = LogFileReader(io.BytesIO(data), strict=False)
    except Corrupted as error:
        return True, -1, error.message
    try:
        for _ in reader.chunks():
            pass
    except Corrupted as error:
        return False, reader.end_lsid, error.message
    return False, reader.end_lsid, ""


def test_every_damaged_log_gets_its_verdict(expected: dict[str, Any], content: Files) -> None:
    cases = [case for case in expected["damaged"]["cases"] if case["kind"] == "wlog"]
    assert cases
    for case in cases:
        is_refused, _, error = judge(content(case["file"]))
        strict_error = ""
        if not is_refused:
            strict_error = log_of(content(case["file"]), strict=True)[2]
        match case["verdict"]:
            case "reject":
                assert error, case
            case "end":
                assert not error and strict_error, case
            case "accept":
                assert not error and not strict_error, case
            case "accept-prefix":
                assert error and not is_refused, case
            case other:
                pytest.fail(f"unknown verdict {other}")


def test_a_gap_between_golden_logs_is_refused(content: Files) -> None:
    reader = LogFileReader(io.BytesIO(content("damaged/gap.wlogs")))
    for _ in reader.chunks():
        pass
    with pytest.raises(Corrupted):
        reader.next_file()


def test_every_damaged_super_sector_is_refused(expected: dict[str, Any], content: Files) -> None:
    cases = [case for case in expected["damaged"]["cases"] if case["kind"] == "log device"]
    assert cases
    for case in cases:
        assert case["verdict"] == "reject"
        with image(content(case["file"])) as ldev, pytest.raises(Corrupted, match="super sector"):
            read_super_sector(ldev.fileno())


def test_the_end_block_of_a_golden_log_ends_a_redo(expected: dict[str, Any], content: Files) -> None:
    data = content("wlog/hand-empty-512.wlog")
    header = LogFileHeader.parse(data[:4096])
    redo = LogRedo(header.pbs, header.salt, header.begin_lsid, None, 0)
    assert redo.feed(memoryview(data)[4096:]) == END
