"""What can be learnt of one file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.wdiff.wdiff_oracle import NORMAL, Io, Stored, header, sorted_file
from tests.wdiff.wdiff_testing import UUID, convert, make_log
from tests.wlog.log_oracle import Write
from walbd.model.compression import CompressionType
from walbd.model.error import Corrupted, NotFound
from walbd.wdiff.reader import RecordKind, WdiffHeader, WdiffKind, WdiffReader, wdiff_header

TEXT = b"to be or not to be, that is it.." * 32


def test_the_header_tells_format_and_uuid(tmp_path: Path) -> None:
    (tmp_path / "d").write_bytes(sorted_file(UUID, []))
    assert wdiff_header(tmp_path / "d") == WdiffHeader(WdiffKind.SORTED, UUID)
    convert(tmp_path / "e", b"", uuid=b"sixteen letters!")
    assert wdiff_header(tmp_path / "e") == WdiffHeader(WdiffKind.INDEXED, b"sixteen letters!")


@pytest.mark.parametrize("content", [b"", bytes(31), bytes(32), header(2, UUID), b"\1" + header(0, UUID)[1:]])
def test_a_file_with_another_header_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "d").write_bytes(content)
    with pytest.raises(Corrupted, match="/d: offset"):
        wdiff_header(tmp_path / "d")


def test_a_file_that_does_not_exist_is_named(tmp_path: Path) -> None:
    for read in (wdiff_header, WdiffReader):
        with pytest.raises(NotFound, match="none"):
            read(tmp_path / "none")


def test_a_record_tells_where_its_data_lie(tmp_path: Path) -> None:
    stored = Stored.of(Io(7, 2, NORMAL, TEXT))
    (tmp_path / "d").write_bytes(sorted_file(UUID, [stored]))
    with WdiffReader(tmp_path / "d") as reader:
        [record] = reader
        assert (record.address_lb, record.blocks_lb, record.kind) == (7, 2, RecordKind.NORMAL)
        assert (record.codec, record.stored_offset) == (CompressionType.SNAPPY, 32 + 4096)
        assert (record.stored_bytes, record.image_lb, record.image_skip_lb) == (len(stored.data), 2, 0)
        assert reader.data(record) == TEXT


def test_pieces_of_one_image_are_told_apart(tmp_path: Path) -> None:
    convert(tmp_path / "d", make_log([Write(1, 2, TEXT)])[0])
    with WdiffReader(tmp_path / "d") as reader:
        records = list(reader)
        assert [(r.address_lb, r.image_skip_lb, r.stored_offset) for r in records] == [(1, 0, 32), (2, 1, 32)]
        assert [reader.data(record) for record in records] == [TEXT[:512], TEXT[512:]]
