"""Servers that are down, slow or answer nonsense: one line on stderr, exit status 1, whatever the command."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.walbc.test_main import error_of, free_port
from walbc.main import main
from walbd.net.frame import FrameType, encode
from walbd.net.messages import Result, Welcome

WITHIN_SEC = 30
WELCOME = encode(FrameType.WELCOME, Welcome(1, "a0", "archive", "none").encode())
ACCEPT = encode(FrameType.ACCEPT, Result(()).encode())
COMMANDS = {
    "query": ["get", "state", "vol0"],
    "JSON": ["status", "--json"],
    "change": ["clear-vol", "vol0"],
    "wait": ["restore", "vol0", "5", "--wait"],
    "hash": ["bhash", "vol0", "5"],
    "scan": ["virt-full-scan", "stdout", "vol0", "5"],
    "shutdown": ["shutdown", "--wait"],
}


def answered(*lines: str) -> bytes:
    return WELCOME + encode(FrameType.OK, Result(lines).encode())


@contextlib.contextmanager
def server(answer: bytes, *, closes: bool) -> Iterator[list[str]]:
    """Answers each connection with the same bytes, then says nothing more or closes; gives the options for it."""
    listener = socket.create_server(("127.0.0.1", 0))
    peers: list[socket.socket] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = listener.accept()
                peers.append(peer)
                peer.sendall(answer)
                if closes:
                    peer.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield ["-a", "127.0.0.1", "-p", str(listener.getsockname()[1]), "-to", "1"]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(WITHIN_SEC)
        for peer in peers:
            peer.close()


@pytest.fixture
def failure(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that has to fail in the documented way; returns its last line."""

    def run(*words: str) -> str:
        assert main(["-retry", "0", *words] if "get" in words or "status" in words else words) == 1
        output = capsys.readouterr()
        assert output.out == ""
        *progress, last = output.err.splitlines(keepends=True)
        assert all("--wait" in words and ": failed" in line for line in progress), progress
        return error_of(last)

    return run


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_a_server_that_is_down(words: list[str], failure: Callable[..., str]) -> None:
    port = free_port()
    assert failure("-a", "127.0.0.1", "-p", str(port), *words).startswith(f"cannot connect to 127.0.0.1:{port}")


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("answer", [b"", WELCOME])
def test_a_server_that_is_slow(words: list[str], answer: bytes, failure: Callable[..., str]) -> None:
    with server(answer, closes=False) as options:
        assert "1 s" in failure(*options, *words)


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9.2\r\n", b"\0" * 100, WELCOME[:-1], WELCOME + b"\0" * 100])
def test_a_server_that_answers_nonsense(words: list[str], answer: bytes, failure: Callable[..., str]) -> None:
    with server(answer, closes=True) as options:
        assert failure(*options, *words)


def test_a_server_that_falls_silent_in_the_middle_of_the_work(failure: Callable[..., str]) -> None:
    with server(WELCOME + ACCEPT, closes=False) as options:
        told = failure(*options, "restore", "vol0", "5", "--wait")
    assert "was silent for 1 s" in told and "the server may go on with it" in told


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (["get", "pid"], ["not a number"]),
        (["get", "diff", "vol0"], ["nonsense"]),
        (["get", "state", "vol0"], []),
        (["status"], ["nonsense"]),
        (["version"], ["nonsense"]),
    ],
)
def test_an_answer_that_is_no_json_is_said_so(words: list[str], lines: list[str], failure: Callable[..., str]) -> None:
    with server(answered(*lines), closes=True) as options:
        assert failure(*options, *words, "--json").startswith("the answer is no ")


def test_json_is_one_line_however_odd_a_text_is(capsys: pytest.CaptureFixture[str]) -> None:
    with server(answered("a\n\x1b[2J\x85\u2028é"), closes=True) as options:
        assert main([*options, "get", "volume-group", "--json"]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1 and "\x1b" not in out
    assert json.loads(out) == "a\n\x1b[2J\x85\u2028é"


def test_a_broken_servers_file_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "servers.toml"
    path.write_text("[servers.a0]\nhost = 'h'\nport = 'x'\n")
    monkeypatch.setenv("WALBC_CONFIG", str(path))
    assert main(["-s", "a0", "status"]) == 1
    told = error_of(capsys.readouterr().err)
    assert told == f"{path}: line 3: servers.a0.port: expected a port from 1 to 65535, found 'x'"
