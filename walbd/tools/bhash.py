"""bhash: hashes of a file or device, to compare images (wdiff-format.md section 11.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import FileIO

from walbd.model.error import Corrupted
from walbd.model.limits import LB_BYTES
from walbd.tools.places import STANDARD, open_input
from walbd.tools.tool import DONE, Tool, run_tool
from walbd.tools.work import shown
from walbd.wdiff.hashes import DIGEST_BYTES, MAX_CHUNK_BYTES, SipHash, hash_chunks
from walbd.wlog.super_sector import device_size_bytes
from walbd.world.command_line import Arguments, Option, OptionError
from walbd.world.throttle import Throttle

_OPTIONS = (
    Option("ios", "SIZE", "bytes of one read, a multiple of 512", "64K"),
    Option("off", "SIZE", "begin at this byte", "0"),
    Option("size", "SIZE", "hash so many bytes (0: all)", "0"),
    Option("chunk", "SIZE", "a hash for each chunk of so many bytes, a multiple of -ios (0: one for all)", "0"),
    Option("scan-sleep-pct", "N", "percentage of time to sleep, 0 to 99", "0"),
    Option("aio", "", "no effect"),
)
_MIN_READ_BYTES = 256 << 10


def _checked(arguments: Arguments) -> tuple[int, int, int]:
    """Offset, size and chunk in bytes; raises OptionError."""
    ios, chunk = arguments.number("ios"), arguments.number("chunk")
    offset, size = arguments.number("off"), arguments.number("size")
    for name, is_right in (
        ("ios", 0 < ios <= MAX_CHUNK_BYTES and ios % LB_BYTES == 0),
        ("chunk", chunk <= MAX_CHUNK_BYTES and chunk % ios == 0 if ios else False),
        ("off", offset % LB_BYTES == 0),
        ("size", size % LB_BYTES == 0),
        ("scan-sleep-pct", arguments.number("scan-sleep-pct") < 100),
    ):
        if not is_right:
            raise OptionError(f"bad value:{arguments.get(name)}")
    return offset, size, chunk


def _pieces(file: FileIO, size: int | None) -> Iterator[memoryview]:
    """The bytes of a file up to its end, or `size` of them."""
    buffer = memoryview(bytearray(_MIN_READ_BYTES))
    left = size
    while left is None or left > 0:
        count = file.readinto(buffer if left is None else buffer[:left])
        if not count:
            if left:
                raise Corrupted(f"the file ends {left} bytes too early")
            return
        left = None if left is None else left - count
        yield buffer[:count]


def _hash_stream(file: FileIO, size: int | None, chunk: int, after: Callable[[int], None]) -> Iterator[bytes]:
    """Hashes of what comes in order, the last chunk may be short; chunk 0: one of everything."""
    state, filled, total = SipHash(), 0, 0
    for piece in _pieces(file, size):
        total += len(piece)
        rest = piece
        while rest:
            part = rest[: chunk - filled] if chunk else rest
            state.update(part)
            filled += len(part)
            rest = rest[len(part) :]
            if filled == chunk:
                yield state.digest()
                state, filled = SipHash(), 0
        after(total)
    if total % LB_BYTES:
        raise Corrupted(f"the input of {total} bytes is no multiple of {LB_BYTES}")
    if filled or not chunk:
        yield state.digest()


def _run(arguments: Arguments) -> int:
    offset, size, chunk = _checked(arguments)
    name = arguments.positional[0] if arguments.positional else STANDARD
    percentage = arguments.number("scan-sleep-pct")
    with open_input(name) as file:
        if name == STANDARD:
            offset, wanted = 0, size or None
        else:
            left = max(0, device_size_bytes(file.fileno()) // LB_BYTES * LB_BYTES - offset)
            wanted = min(size or left, left)
            file.seek(offset)
        with shown(TOOL.name, wanted or 0) as progress:
            throttle = Throttle(percentage)

            def after_piece(done_bytes: int) -> None:
                progress(done_bytes)
                throttle.pause()

            if chunk and name != STANDARD:
                digests = _hash_file(file, chunk, offset, wanted or 0, after_piece)
            else:
                digests = _hash_stream(file, wanted, chunk, after_piece)
            for number, digest in enumerate(digests):
                place = f"{(offset + number * chunk) // LB_BYTES:016x}\t" if chunk else ""
                print(place + digest.hex())
    return DONE


def _hash_file(file: FileIO, chunk: int, offset: int, size: int, after: Callable[[int], None]) -> Iterator[bytes]:
    done = 0
    for digests in hash_chunks(file.fileno(), chunk, offset, size):
        for at in range(0, len(digests), DIGEST_BYTES):
            yield digests[at : at + DIGEST_BYTES]
            done += chunk
        after(done)


TOOL = Tool(
    "bhash",
    "[FILE]",
    "Hashes a file or device: SipHash-2-4 with 128 bits as the reference computes it.",
    _OPTIONS,
    _run,
    max_words=1,
    notes=(
        "FILE is standard input when it is missing or `-`; `-off` then has no effect. One line of 32 hexadecimal "
        "digits; with `-chunk` a line for each chunk: where it begins in blocks of 512 bytes (16 hexadecimal "
        "digits), a tab, the hash. Of a file whose size is no multiple of 512 the odd bytes are left out; of "
        "standard input they are an error.",
    ),
)


def main() -> int:
    """Entry point."""
    return run_tool(TOOL)
