"""The files and devices that a command line names: `-` is standard input or output."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from io import FileIO
from pathlib import Path

from walbd.model.error import InvalidArgument, NotFound, StorageFailure, WalbError
from walbd.model.limits import LB_BYTES
from walbd.wlog.super_sector import device_size_bytes
from walbd.world.output import Output, open_output

STANDARD = "-"
_COPY_BYTES = 1 << 20


def name_of(name: str) -> str:
    """For messages."""
    return "standard input" if name == STANDARD else name


@contextmanager
def open_input(name: str) -> Iterator[FileIO]:
    """Opens for sequential reading. Raises NotFound or StorageFailure; errors of the format name the file."""
    with _opened(name, os.O_RDONLY) as fd, _named(name), FileIO(fd, "rb", closefd=False) as file:
        yield file


@contextmanager
def open_inputs(names: Sequence[str]) -> Iterator[list[FileIO]]:
    """Opens several for sequential reading. Raises NotFound or StorageFailure."""
    with ExitStack() as stack:
        yield [stack.enter_context(open_input(name)) for name in names]


@contextmanager
def open_device(name: str, *, write: bool = False) -> Iterator[int]:
    """Opens a device, or the file of one. Raises NotFound or StorageFailure; errors of the format name it."""
    with _opened(name, os.O_RDWR if write else os.O_RDONLY) as fd, _named(name):
        yield fd


@contextmanager
def open_image(name: str) -> Iterator[int]:
    """Opens an image for reading anywhere; one that comes through a pipe is first copied to a temporary file. Raises
    NotFound or StorageFailure."""
    if name != STANDARD:
        with _opened(name, os.O_RDONLY) as fd:
            yield fd
        return
    with seekable(name) as path, _opened(str(path), os.O_RDONLY) as fd:
        yield fd


@contextmanager
def open_target(name: str) -> Iterator[tuple[int, int]]:
    """Opens a device or image file for writing; gives the descriptor and its size in LB."""
    with _opened(name, os.O_RDWR) as fd:
        yield fd, device_size_bytes(fd) // LB_BYTES


@contextmanager
def seekable_all(names: Sequence[str]) -> Iterator[list[Path]]:
    """`seekable` for several."""
    with ExitStack() as stack:
        yield [stack.enter_context(seekable(name)) for name in names]


@contextmanager
def seekable(name: str) -> Iterator[Path]:
    """A path at which an input can be read anywhere, as wdiff files need: a pipe is first copied to a temporary file.
    Raises NotFound or StorageFailure."""
    if name != STANDARD and _is_regular(name):
        yield Path(name)
        return
    with _opened(name, os.O_RDONLY) as fd, tempfile.TemporaryFile() as copy:
        if stat.S_ISREG(os.fstat(fd).st_mode):
            copy.close()
            place = Path(f"/proc/self/fd/{fd}")
        else:
            while part := os.read(fd, _COPY_BYTES):
                copy.write(part)
            copy.flush()
            place = Path(f"/proc/self/fd/{copy.fileno()}")
        try:
            yield place
        except WalbError as error:
            raise type(error)(error.message.replace(str(place), name_of(name)), error.hint) from error


def new_output(name: str, inputs: Iterable[str]) -> Output:
    """An output that appears whole or not at all. Raises InvalidArgument when it is one of the inputs."""
    refuse_same(name, inputs)
    return open_output(name)


def refuse_same(output: str, inputs: Iterable[str]) -> None:
    """Raises InvalidArgument when an output is one of the inputs, under whatever name."""
    for name in inputs:
        if _is_same(output, name):
            raise InvalidArgument(f"{output} is an input, too", "write to another file")


def _is_same(output: str, name: str) -> bool:
    try:
        there = os.fstat(sys.__stdout__.fileno()) if output == STANDARD and sys.__stdout__ else os.stat(output)
        here = os.fstat(0) if name == STANDARD else os.stat(name)
    except OSError:
        return False
    is_place = stat.S_ISREG(there.st_mode) or stat.S_ISBLK(there.st_mode)
    return is_place and os.path.samestat(there, here)


def _is_regular(name: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(name).st_mode)
    except FileNotFoundError as error:
        raise NotFound(f"{name} does not exist") from error
    except OSError as error:
        raise StorageFailure(f"cannot open {name}: {error.strerror}") from error


@contextmanager
def _opened(name: str, flags: int) -> Iterator[int]:
    try:
        fd = os.dup(0) if name == STANDARD else os.open(name, flags | os.O_CLOEXEC)
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            os.close(fd)
            raise StorageFailure(f"cannot open {name}: it is a folder")
    except FileNotFoundError as error:
        raise NotFound(f"{name} does not exist") from error
    except OSError as error:
        raise StorageFailure(f"cannot open {name_of(name)}: {error.strerror}") from error
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Puts the name of the file in front of what is wrong with it."""
    try:
        yield
    except WalbError as error:
        raise type(error)(f"{name_of(name)}: {error.message}", error.hint) from error
