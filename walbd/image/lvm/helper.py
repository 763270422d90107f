"""The helper process of an archive: runs LVM commands for it until the archive closes the channel.

    python -m walbd.image.lvm.helper FD

FD is one end of a socket pair. A line each way per command, in JSON: `{"words": [...]}`, and
`{"is_done": true, "report": "...", "errors": "..."}`. The first line is the helper's: `{"missing": "..."}`, empty when
the library is there. In imports it is poor, so that it starts fast.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from dataclasses import asdict
from typing import Any

from walbd.image.lvm.library import Library, LibraryMissing


class Stderr:
    """What the library writes straight to stderr, past its log."""

    def __init__(self) -> None:
        self._fd = os.memfd_create("stderr")
        os.dup2(self._fd, 2)

    def take(self) -> str:
        """What came since the last time."""
        text = os.pread(self._fd, 1 << 16, 0).decode(errors="replace")
        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        return "; ".join(filter(None, map(str.strip, text.splitlines())))


def serve(channel: socket.socket) -> None:
    """Answers until the other end is closed."""

    def answer(fields: dict[str, Any]) -> None:
        channel.sendall(json.dumps(fields).encode() + b"\n")

    stderr = Stderr()
    try:
        library = Library()
    except LibraryMissing as error:
        answer({"missing": str(error)})
        return
    answer({"missing": ""})
    try:
        for line in channel.makefile("rb"):
            fields = asdict(library.run(json.loads(line)["words"]))
            fields["errors"] = "; ".join(filter(None, (fields["errors"], stderr.take())))
            answer(fields)
    finally:
        library.close()


def main() -> None:
    # Ending is the archive's business: a command is not to be torn.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        try:
            serve(channel)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the archive has ended
    os._exit(0)


if __name__ == "__main__":
    main()
