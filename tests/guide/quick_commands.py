"""walbc and wdevc for the reader's shell without the start of Python: bash asks the test's process, which forks them
(tests/forked.py). Each run is a process of its own with the arguments, environment, folder and end of one that bash
starts."""

from __future__ import annotations

import itertools
import socketserver
import threading
from pathlib import Path
from typing import BinaryIO

from demo.group import BIN
from tests.forked import run_forked

PROGRAMS = ("walbc", "wdevc")
COMMAND_SEC = 60.0
FUNCTION = """
run_quickly() {
    local answers status path
    exec {answers}<>/dev/tcp/127.0.0.1/PORT
    printf '%s\\0' $# "$PWD" "$@" >&$answers
    read -r status path <&$answers
    exec {answers}>&-
    cat "$path.out"; cat "$path.err" >&2
    return $status
}
"""


class QuickCommands:
    """Serves one shell. `definitions` is what that has to read first."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        self._numbers = itertools.count()
        answer = self._answer

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                count, folder = int(_word(self.rfile)), _word(self.rfile)
                self.wfile.write(answer(folder, [_word(self.rfile) for _ in range(count)]).encode())

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def definitions(self) -> str:
        """Functions that take the place of the programs."""
        names = "".join(f'{name}() {{ run_quickly {name} "$@"; }}\n' for name in PROGRAMS)
        return FUNCTION.replace("PORT", str(self._server.server_address[1])) + names

    def close(self) -> None:
        """No more commands come."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, folder: str, words: list[str]) -> str:
        command = [str(BIN / words[0]), *words[1:]]
        status, out, err = run_forked(command, COMMAND_SEC, self._environment, folder)
        path = self._folder / f"output{next(self._numbers)}"
        path.with_suffix(".out").write_text(out)
        path.with_suffix(".err").write_text(err)
        return f"{status} {path}\n"


def _word(file: BinaryIO) -> str:
    """Up to the next NUL."""
    return b"".join(iter(lambda: file.read(1), b"\0")).decode()
