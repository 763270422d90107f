"""Processes and ports of the local host, as the 2014 library offered them (python-library.md section 4)."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from walbc.library.failure import ControlError
from walbc.library.verify import verify_type, verify_u64

_PORT_POLL_SEC = 0.3
_CONNECT_SEC = 1.0


def make_dir(pathStr: str) -> None:
    """Makes a folder unless it is there."""
    verify_type(pathStr, str)
    Path(pathStr).mkdir(parents=True, exist_ok=True)


def run_daemon(args: list[str], outPath: str | None = None) -> None:
    """Starts a program in a session of its own that outlives this process: in `/`, umask 0, its output to the null
    device or the end of outPath. Returns at once; nothing tells whether it stayed alive."""
    verify_type(args, list, str)
    verify_type(outPath, str, allowNone=True)
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        os.setsid()
        if os.fork() == 0:
            _become(args, outPath)
    finally:
        os._exit(0)  # never back into the caller's program


def _become(args: list[str], outPath: str | None) -> None:
    out = os.open(outPath or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.chdir("/")
    os.umask(0)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.execv(args[0], args)


def wait_for_server_port(address: str, port: int, timeoutS: int = 10) -> None:
    """Until somebody accepts connections there. Raises ControlError after timeoutS."""
    verify_type(address, str)
    verify_u64(port)
    verify_u64(timeoutS)
    end = time.monotonic() + timeoutS
    while True:
        try:
            socket.create_connection((address, port), _CONNECT_SEC).close()
            return
        except (ConnectionError, TimeoutError):
            pass
        if time.monotonic() >= end:
            raise ControlError("wait_for_server_port:timeout", address, port, timeoutS)
        time.sleep(_PORT_POLL_SEC)
