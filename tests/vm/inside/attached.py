"""A walb device attached to the kernel, for tests inside User Mode Linux."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.device.walb_devices import Pair, Server
from tests.vm.inside.disks import run
from walbd.device.wdevc_commands import COMMANDS
from walbd.world.command_line import parse_arguments

# A request that was in flight when the server died is sent again after this.
TIMEOUT_SEC = 2


def wdevc(folder: Path, *words: str | Path) -> str:
    """What a command of wdevc prints, with the sockets in a folder. Run in this process: to start Python takes seconds
    in here."""
    command = COMMANDS[str(words[0])]
    where = ["-s", str(folder)] if any(option.name == "s" for option in command.options) else []
    given = [*map(str, words[1:]), *where]
    arguments = parse_arguments(given, command.options, command.min_words, command.max_words)
    return "\n".join(asyncio.run(command.run(arguments)))


def attach(pair: Pair) -> str:
    """Attaches the device `vol`, with a short time-out; returns /dev/nbdN."""
    return wdevc(pair.folder, "attach", "vol", "-timeout", str(TIMEOUT_SEC))


@contextmanager
def mounted(device: str | Path, folder: Path) -> Iterator[Path]:
    """Mounts a file system for a while."""
    folder.mkdir(exist_ok=True)
    run("mount", device, folder)
    try:
        yield folder
    finally:
        run("umount", folder)


def check_ext4(device: str | Path) -> None:
    """Fails the test unless e2fsck finds the file system clean."""
    run("e2fsck", "-f", "-n", device)


def free_blocks(device: str | Path) -> list[tuple[int, int]]:
    """(begin, end) in bytes of what an ext4 does not use."""
    text = run("dumpe2fs", device)
    (block_bytes,) = map(int, re.findall(r"^Block size: +(\d+)$", text, re.MULTILINE))
    ranges = ", ".join(re.findall(r"^  Free blocks: (.*)$", text, re.MULTILINE))
    found = re.findall(r"(\d+)(?:-(\d+))?", ranges)
    return [(int(begin) * block_bytes, (int(end or begin) + 1) * block_bytes) for begin, end in found]


def restarted(server: Server) -> Server:
    """Kills a server and starts the next one; returns when it serves."""
    server.kill()
    return Server(server.pair).wait_ready()
