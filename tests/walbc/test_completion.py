"""Completion scripts: bash really completes; the scripts of all shells are made of every row of the tables."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from walbc.commands import COMMANDS
from walbc.completion import SCRIPTS
from walbc.get_targets import GET_TARGETS
from walbc.main import main

# Completes a line as bash does: the words before the cursor, the last of them the one to be completed.
_DRIVER = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_walbc
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def bash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The script, and a servers file and a program that it can ask."""
    script = tmp_path / "walbc.bash"
    script.write_text(SCRIPTS["bash"]())
    (tmp_path / "servers.toml").write_text("[servers.s0]\nhost='h'\nport=1\n[servers.a0]\nhost='h'\nport=1\n")
    monkeypatch.setenv("WALBC_CONFIG", str(tmp_path / "servers.toml"))
    program = tmp_path / "bin" / "walbc"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m walbc "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    return script


def completed(script: Path, *words: str) -> list[str]:
    command = ["bash", "--norc", "-c", _DRIVER, "driver", str(script), "walbc", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["rest"], ["restore"]),
        (["-s", "a0", "rest"], ["restore"]),
        (["-s", ""], ["s0", "a0"]),
        (["-s", "a"], ["a0"]),
        (["get", "restored"], ["restored", "restored-path"]),
        (["-a", "h", "-p", "1", "get", "lat"], ["latest-snap"]),
        (["archive-info", ""], ["list", "get", "add", "update", "delete", "-h"]),
        (["start", "vol0", "t"], ["target"]),
        (["stop", "vol0", ""], ["graceful", "force", "empty", "--wait", "-h"]),
        (["get", "state", "vol0", "--"], ["--json"]),
        (["restore", "vol0", "5", "--"], ["--wait"]),
        (["-de"], ["-debug"]),
        (["--wait", "appl"], ["apply"]),
        (["-to", ""], []),
        (["nonsense", ""], []),
        (["completion", "b"], ["bash"]),
    ],
)
def test_bash_completes(bash: Path, words: list[str], expected: list[str]) -> None:
    assert completed(bash, *words) == expected


def test_bash_completes_every_command(bash: Path) -> None:
    assert set(COMMANDS) <= set(completed(bash, ""))


def test_without_a_servers_file_there_are_no_names(bash: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WALBC_CONFIG", "/nowhere")
    assert completed(bash, "-s", "") == []


@pytest.mark.parametrize("shell", SCRIPTS)
def test_each_script_names_every_command_and_target(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert [name for name in [*COMMANDS, *(target.name for target in GET_TARGETS)] if name not in script] == []


@pytest.mark.parametrize("shell", SCRIPTS)
def test_each_script_is_in_order_for_its_shell(shell: str, tmp_path: Path) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    script = tmp_path / "script"
    script.write_text(SCRIPTS[shell]())
    subprocess.run([shell, "-n", str(script)], check=True, timeout=30)


def test_an_unknown_shell_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "csh"]) == 1
    assert "unknown shell:csh (hint: write bash or zsh or fish" in capsys.readouterr().err
