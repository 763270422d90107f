"""Programs run by full path (python-library.md section 4)."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from typing import Protocol

from walbc.library.failure import CommandError
from walbc.library.texts import to_str
from walbc.library.verify import verify_function, verify_type


class RunCommand(Protocol):
    """Runs an executable given by its full path somewhere and returns its stripped stdout; raises when its status is
    not 0."""

    def __call__(self, args: list[str], /) -> str: ...


def run_local_command(args: Sequence[str], putMsg: bool = False, quietErr: bool = False) -> str:
    """Runs a program on this host without a shell; returns its stripped stdout. Its stderr passes through, or is
    swallowed (quietErr). Raises CommandError, or OSError for a program that is not there."""
    verify_type(args, [list, tuple], str)
    if putMsg:
        print("run_command:", to_str(args))
    done = subprocess.run(
        list(args),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if quietErr else None,
        close_fds=True,
        check=False,
    )
    if done.returncode != 0:
        raise CommandError(list(args), done.returncode)
    text = done.stdout.decode(errors="surrogateescape").strip()
    if putMsg:
        print("run_command_result:", text)
    return text


def run_shell(script: str, runCommand: RunCommand = run_local_command) -> str:
    """The stdout of a shell script, wherever runCommand runs it."""
    return runCommand(["/bin/sh", "-c", script])


def exists_file(path: str, runCommand: RunCommand = run_local_command) -> bool:
    """Whether there is a block device at path."""
    verify_type(path, str)
    verify_function(runCommand)
    answer = run_shell(f"if [ -b {shlex.quote(path)} ]; then echo 1; else echo 0; fi", runCommand)
    return answer.strip() == "1"
