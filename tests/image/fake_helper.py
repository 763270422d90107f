"""Stands in for the helper process: `python -m tests.image.fake_helper MODE FD`. MODE: the library is `missing`; a
command makes it `hang` or `die`; or it answers (`echo`) with the command as the report."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys


def main() -> None:
    mode, channel = sys.argv[1], socket.socket(fileno=int(sys.argv[2]))
    missing = "no such library" if mode == "missing" else ""
    channel.sendall(json.dumps({"missing": missing}).encode() + b"\n")
    for line in channel.makefile("rb"):
        words = json.loads(line)["words"]
        if words[0] == "hang":
            signal.pause()
        if words[0] == "die":
            os._exit(1)
        fails = words[0] == "fail"
        answer = {"is_done": not fails, "report": " ".join(words), "errors": "Volume group is odd" if fails else ""}
        channel.sendall(json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    main()
