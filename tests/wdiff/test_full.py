"""A whole image as a wdiff file."""

from __future__ import annotations

import random
from io import FileIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wdiff.wdiff_oracle import NORMAL, Io, indexed
from tests.wdiff.wdiff_testing import apply, draining, feeding
from walbd.model.error import InvalidArgument
from walbd.wdiff.builder import LogOptions
from walbd.wdiff.full import image_to_wdiff
from walbd.wdiff.reader import WdiffKind, WdiffReader


def content_of(blocks: int, seed: int) -> bytes:
    """Random, repeated and zero blocks."""
    rnd = random.Random(seed)
    return b"".join(rnd.choice([rnd.randbytes(512), b"ab" * 256, bytes(512)]) for _ in range(blocks))


def read_back(path: Path) -> list[Io]:
    with WdiffReader(path) as reader:
        assert reader.header.uuid == bytes(16)
        return [Io(r.address_lb, r.blocks_lb, r.kind, reader.data(r)) for r in reader]


@given(
    blocks=st.integers(0, 400),
    io_lb=st.sampled_from([1, 3, 8, 128]),
    kind=st.sampled_from(WdiffKind),
    threads=st.integers(1, 3),
    is_pipe=st.booleans(),
)
def test_every_block_lies_in_a_normal_record(
    tmp_path_factory: pytest.TempPathFactory, blocks: int, io_lb: int, kind: WdiffKind, threads: int, is_pipe: bool
) -> None:
    folder = tmp_path_factory.getbasetemp()
    content = content_of(blocks, blocks)
    options = LogOptions(threads=threads, folder=folder)
    ios = []
    for at in range(0, blocks, io_lb):
        data = content[at * 512 : (at + io_lb) * 512]
        ios.append(Io(at, len(data) // 512, NORMAL, data))
    if is_pipe:
        with feeding(content) as image, draining(folder / "d") as out_fd:
            size = image_to_wdiff(image, out_fd, kind, options, io_lb * 512)
    else:
        (folder / "image").write_bytes(content)
        with FileIO(folder / "image") as image, open(folder / "d", "wb", buffering=0) as out:
            size = image_to_wdiff(image, out.fileno(), kind, options, io_lb * 512)
    assert size == len(content)
    largest = 1 << io_lb.bit_length() - 1
    assert read_back(folder / "d") == (ios if kind is WdiffKind.SORTED else indexed(ios, largest))


@pytest.mark.parametrize("kind", WdiffKind)
def test_an_image_of_many_parts_is_restored(tmp_path: Path, kind: WdiffKind) -> None:
    content = content_of(30_000, 1)
    (tmp_path / "image").write_bytes(content)
    with FileIO(tmp_path / "image") as image, open(tmp_path / "d", "wb", buffering=0) as out:
        image_to_wdiff(image, out.fileno(), kind, LogOptions(threads=3, folder=tmp_path))
    assert apply(b"\xff" * len(content), [tmp_path / "d"])[0] == content


@pytest.mark.parametrize("is_pipe", [False, True])
def test_half_blocks_are_refused(tmp_path: Path, is_pipe: bool) -> None:
    (tmp_path / "image").write_bytes(bytes(1000))
    with (
        feeding(bytes(1000)) as pipe,
        FileIO(tmp_path / "image") as file,
        open(tmp_path / "d", "wb", buffering=0) as out,
    ):
        with pytest.raises(InvalidArgument, match="1000 bytes"):
            image_to_wdiff(pipe if is_pipe else file, out.fileno(), WdiffKind.SORTED, LogOptions(folder=tmp_path))
        with pytest.raises(InvalidArgument, match="513"):
            image_to_wdiff(file, out.fileno(), WdiffKind.SORTED, LogOptions(folder=tmp_path), 513)
