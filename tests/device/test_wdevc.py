"""wdevc as an operator types it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from tests.device.walb_devices import BOUND_SEC, Pair, Server
from tests.forked import run_forked
from walbd.device.device import LsidSet
from walbd.device.user_device import UserDevice
from walbd.model.error import ProtocolViolation
from walbd.world.command_line import Option, OptionError, parse_arguments, parse_number


def wdevc(*words: object, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {"WALB_SOCKET_DIR": str(folder)} if folder else {}
    command = ["wdevc", *map(str, words)]
    return subprocess.CompletedProcess(command, *run_forked(command, BOUND_SEC, environment))


def good(*words: object, folder: Path | None = None) -> str:
    done = wdevc(*words, folder=folder)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def bad(*words: object, folder: Path | None = None) -> str:
    done = wdevc(*words, folder=folder)
    assert done.returncode == 1 and done.stdout == ""
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} ERROR wdevc:.*\n", done.stderr)
    return done.stderr


def test_format_ldev_prints_the_super_sector(tmp_path: Path) -> None:
    for name, size in (("ldev", 1 << 20), ("ddev", 8 << 20)):
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, size)
    (tmp_path / "ddev").write_bytes(b"kept".ljust(8 << 20, b"\0"))
    lines = good("format-ldev", tmp_path / "ldev", tmp_path / "ddev", "-n", "v0", "-pbs", 4096).split("\n")
    keys = [line.partition(": ")[0] for line in lines[:14]]
    assert keys == [
        "sectorType",
        "version",
        "checksum",
        "lbs",
        "pbs",
        "metadataSize",
        "salt",
        "name",
        "ringBufferSize",
        "oldestLsid",
        "writtenLsid",
        "deviceSize",
        "ringBufferOffset",
        "uuid",
    ]
    values = dict(line.split(": ") for line in lines[:14])
    assert (values["pbs"], values["name"], values["ringBufferSize"], values["ringBufferOffset"]) == (
        "4096",
        "v0",
        "253",
        "3",
    )
    assert values["deviceSize"] == "16384" and re.fullmatch("[0-9a-f]{32}", values["uuid"])
    assert lines[14:] == ["", ""]
    assert (tmp_path / "ddev").read_bytes()[:4] == b"kept"
    assert "bad device name" in bad("format-ldev", tmp_path / "ldev", tmp_path / "ddev", "-n", "x" * 26)
    assert "No such file" in bad("format-ldev", tmp_path / "nothing", tmp_path / "ddev")


@pytest.mark.parametrize(("pbs", "least_bytes"), [(512, 4096 + 66 * 512), (4096, 67 * 4096)])
def test_format_ldev_refuses_a_log_device_that_could_not_be_served(tmp_path: Path, pbs: int, least_bytes: int) -> None:
    ldev, ddev = tmp_path / "ldev", tmp_path / "ddev"
    for path, size in ((ldev, least_bytes - 512), (ddev, 1 << 20)):
        path.touch()
        os.truncate(path, size)
    told = bad("format-ldev", ldev, ddev, "-pbs", pbs)
    assert f"{ldev} is too small for a log device: {least_bytes - 512} bytes" in told
    assert f"at least {least_bytes}" in told
    assert ldev.read_bytes() == bytes(least_bytes - 512)
    with Server(Pair(tmp_path, log_bytes=least_bytes, pbs=pbs)).wait_ready() as server:
        with server.client() as client:
            client.write(0, b"x" * (64 << 10))
        assert server.stop() == 0


def test_commands_on_a_device_answer_as_the_reference_does(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    with Server(pair).wait_ready() as server:
        with server.client() as client:
            client.write(0, bytes(4096), fua=True)
        assert good("list", folder=tmp_path) == "0 0 walb/vol\n"
        assert good("get-permanent-lsid", "/dev/walb/vol", folder=tmp_path) == "9\n"
        assert good("get-completed-lsid", server.control_path) == "9\n"
        assert good("clear-wal", "vol", "-s", tmp_path) == ""
        for command, answer in (
            ("get-written-lsid", "9"),
            ("get-oldest-lsid", "9"),
            ("get-log-usage", "0"),
            ("get-log-capacity", str(pair.super_sector().ring_size_pb)),
            ("is-log-overflow", "0"),
            ("is-flush-capable", "1"),
            ("get-checkpoint-interval", "10000"),
        ):
            assert good(command, "vol", folder=tmp_path) == answer + "\n"
        assert good("set-checkpoint-interval", "vol", "0x10", folder=tmp_path) == ""
        assert good("get-checkpoint-interval", "vol", folder=tmp_path) == "16\n"
        assert good("freeze", "vol", 60, folder=tmp_path) == ""
        assert good("is-flozen", "vol", folder=tmp_path) == good("is-frozen", "vol", folder=tmp_path) == "1\n"
        assert "frozen" in bad("reset-wal", "vol", folder=tmp_path)
        assert good("melt", "vol", folder=tmp_path) == ""
        assert good("reset-wal", "vol", folder=tmp_path) == ""
        assert good("get-completed-lsid", "vol", folder=tmp_path) == "0\n"
        os.truncate(pair.ddev, 2 << 20)
        assert good("resize", "vol", folder=tmp_path) == ""
        assert pair.super_sector().device_size_lb == 4096
        assert "shrink" in bad("resize", "vol", "1K", folder=tmp_path)
        assert "out of range" in bad("set-oldest-lsid", "vol", 7, folder=tmp_path)
        assert "in use" in bad("format-ldev", pair.ldev, pair.ddev)
        assert good("delete-wdev", "vol", folder=tmp_path) == ""
        assert server.process.wait(BOUND_SEC) == 0
    assert good("list", folder=tmp_path) == ""
    assert "no walb device vol" in bad("melt", "vol", folder=tmp_path)


def test_create_starts_a_server_that_outlives_the_command(tmp_path: Path) -> None:
    pair, sockets = Pair(tmp_path), tmp_path / "sockets"
    assert good("create-wdev", pair.ldev, pair.ddev, "-user", folder=sockets) == "name vol\nmajor 0\nminor 0\n"
    try:
        assert good("list", "-s", sockets) == "0 0 walb/vol\n"
        assert "is served in" in bad("create-wdev", pair.ldev, pair.ddev, "-user", folder=sockets)
        assert "in use" in bad("create-wdev", pair.ldev, pair.ddev, "-user", "-n", "other", folder=sockets)
    finally:
        good("delete-wdev", "vol", "-f", folder=sockets)
    assert "read the super sector" in bad("create-wdev", tmp_path, pair.ddev, "-user", folder=sockets)


def test_create_for_the_driver_checks_its_parameters(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    assert "invalid start param." in bad("create-wdev", pair.ldev, pair.ddev, "-maxp", 8, "-minp", 9)
    assert "no block device" in bad("create-wdev", pair.ldev, pair.ddev)


@pytest.mark.parametrize("words", [["-h"], ["freeze", "-h"], ["-debug", "-h"]])
def test_help_goes_to_stdout(words: list[str]) -> None:
    assert good(*words).startswith("usage: wdevc")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["melt"], "arg is necessary (hint: usage: wdevc melt WDEV [-s DIR])"),
        (["melt", "a", "b"], "redundant argVal:b (hint: usage: wdevc melt WDEV [-s DIR])"),
        (["melt", "a", "-x"], "bad opt:-x (hint: usage: wdevc melt WDEV [-s DIR])"),
        (["melt", "a", "-s"], "bad value:-s (hint: usage: wdevc melt WDEV [-s DIR])"),
        (["freeze", "nosuch", "-x1"], "bad opt:-x1 (hint: usage: wdevc freeze WDEV [SEC] [-s DIR])"),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line(words: list[str], error: str) -> None:
    done = wdevc(*words)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"OptionError:{error}\n")


def test_no_command_prints_the_help() -> None:
    done = wdevc()
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("usage: wdevc")


def test_a_full_disk_below_the_output_is_one_line() -> None:
    command = [sys.executable, "-m", "walbd.device.wdevc", "get-version"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=BOUND_SEC, check=False)
    assert done.returncode == 1
    assert re.fullmatch(r"\S+ \S+ ERROR wdevc:standard output: No space left on device\n", done.stderr)


def test_an_interrupted_command_says_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "walbd.device.wdevc", "get-size", str(tmp_path / "w0.ctl")]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "w0.ctl"))
        listener.listen()
        listener.settimeout(BOUND_SEC)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as program:
            peer, _ = listener.accept()
            with peer:
                program.send_signal(signal.SIGINT)
                output, _ = program.communicate(timeout=BOUND_SEC)
    assert (program.returncode, output) == (130, "")


@contextlib.contextmanager
def device_that_says(path: Path, answer: bytes) -> Iterator[None]:
    """A control socket whose server answers every request with the same bytes."""

    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = listener.accept()
                with peer:
                    peer.recv(1 << 16)
                    peer.sendall(answer)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=serve, args=[listener])
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(BOUND_SEC)


@pytest.mark.parametrize("answer", [b"hello\n", b"[]\n", b'{"ok":5}\n', b'{"ok":{}}\n', b'{"error":5}\n'])
async def test_a_device_that_answers_nonsense_is_named(tmp_path: Path, answer: bytes) -> None:
    path = tmp_path / "w0.ctl"
    zeros = LsidSet(*[0] * len(fields(LsidSet)))
    questions: tuple[Callable[[UserDevice], Awaitable[object]], ...] = (
        UserDevice.info,
        UserDevice.lsids,
        UserDevice.checkpoint_interval_ms,
        UserDevice.is_frozen,
        UserDevice.numbers,
        UserDevice.server_pid,
        lambda device: device.wait(zeros, 1),
        lambda device: device.attach(None, 1, 1),
    )
    with device_that_says(path, answer):
        for question in questions:
            device = UserDevice(path)
            with pytest.raises(ProtocolViolation, match=re.escape(str(path))):
                await question(device)
            await device.close()


def test_a_mistyped_command_is_answered_with_what_may_have_been_meant() -> None:
    done = wdevc("mellt", "w0")
    assert done.returncode == 1
    assert done.stderr == "OptionError:bad command:mellt (hint: did you mean melt?)\n"
    assert done.stdout.startswith("usage: wdevc")


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0), ("0x1F", 31), ("3k", 3000), ("3K", 3072), ("2m", 2 * 10**6), ("2G", 2 << 30)]
)
def test_numbers_have_suffixes(text: str, value: int) -> None:
    assert parse_number(text) == value


@pytest.mark.parametrize(
    "text", ["", "-1", "1x", "0x", "1 ", "1.5", "k", "99999999999999999999", "0x10000000000000000"]
)
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="bad value"):
        parse_number(text)


def test_options_come_in_any_order_and_the_last_wins() -> None:
    options = (Option("a", "X", ""), Option("b", "", ""), Option("c", "Y", "", "default"))
    parsed = parse_arguments(["-a", "1", "word", "-b", "-a", "-2", "-5"], options, 1, 2)
    assert parsed.get("a") == "-2" and "b" in parsed and parsed.get("c") == "default"
    assert parsed.positional == ["word", "-5"]
    with pytest.raises(OptionError, match="opt is necessary:n"):
        parse_arguments([], (Option("n", "NAME", "", is_necessary=True),))


def test_the_servers_own_command_line() -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "walbd.device.main", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=BOUND_SEC, check=False)

    done = run("-h")
    assert done.returncode == 0 and "-ldev PATH" in done.stdout and done.stderr == ""
    done = run("-n", "x", "-ldev", "y")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("OptionError:opt is necessary:ddev (hint: usage: walb-device -n NAME -ldev PATH")
    assert len(done.stderr.splitlines()) == 1
    done = run("-list", "y", "-n", "x")
    assert done.stderr == "OptionError:bad opt:-n (hint: usage: walb-device -list FILE [-s DIR])\n"
    done = run("-n", "../x", "-ldev", "y", "-ddev", "z")
    assert done.returncode == 1 and done.stdout == "" and len(done.stderr.splitlines()) == 1
