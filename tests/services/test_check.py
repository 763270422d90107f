"""--check of each kind of service: one line, the exit status, and nothing changed."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.group import HOST, Process, wait_until
from tests.services.conftest import DAEMONS, KINDS, Services, run_here

LIMIT_SEC = 60


def check(services: Services, kind: str, *more: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr; whatever they are, no file was made or changed."""
    before = contents(services.folder)
    ended = run_here([*services.command(kind, *more), "--check"])
    assert contents(services.folder) == before
    return ended


def contents(folder: Path) -> dict[Path, tuple[int, int]]:
    """Each file with when it was last written."""
    status = {path: path.lstat() for path in folder.rglob("*")}
    return {path: (found.st_size, found.st_mtime_ns) for path, found in status.items()}


def refusal(services: Services, kind: str, *more: str) -> str:
    """The one line of a check that finds something wrong."""
    status, out, err = check(services, kind, *more)
    assert (status, out, err.count("\n")) == (1, "", 1), (out, err)
    return err


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_right_is_said_in_a_line(services: Services, kind: str) -> None:
    status, out, err = check(services, kind)
    assert (status, err) == (0, "")
    assert (
        out
        == {
            "storage": f"walb-storage can start with 0 volumes in {services.folder}/storage (not in use)\n",
            "proxy": f"walb-proxy can start with 0 volumes in {services.folder}/proxy (not in use)\n",
            "archive": f"walb-archive can start with 0 volumes in {services.folder}/archive (not in use)\n",
            "device": "walb-device vol can be served: 2048 blocks (not served now)\n",
            "worker": "walb-worker can work for the archive 127.0.0.1:1\n",
        }[kind]
    )


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("storage", ["-archive", "a0"], "StorageServer: error: -archive: bad address:a0 (hint: write HOST:PORT)"),
        ("storage", ["-wl", "0"], "StorageServer: error: bad value of -wl:0"),
        ("proxy", ["-bind", "192.0.2.1"], "ProxyServer: error: cannot listen on 192.0.2.1:0: Cannot assign"),
        (
            "proxy",
            ["-b", "/no/such/base"],
            "ProxyServer: error: cannot create the base directory /no/such/base: No",
        ),
        ("proxy", ["-l", "no/log"], "ProxyServer: error: cannot open the log file"),
        ("archive", ["-b", "/no/such/base"], "ArchiveServer: error: cannot open the base directory /no/such/base"),
        ("archive", ["-tp", "pool"], "ArchiveServer: error: -tp pool without -vg"),
        ("device", ["-ldev", "/no/such/ldev"], "walb-device: error: cannot open /no/such/ldev: No such file"),
        ("device", ["-ddev", "/dev/null"], "walb-device: error: /dev/null is neither a file nor a block device"),
        ("device", ["-on-full", "wait"], "walb-device: error: -on-full wait is unknown"),
        ("device", ["-s", "/dev/null"], "walb-device: error: cannot use socket folder /dev/null"),
        ("worker", ["-f", "/no/such/policy"], "walb-worker: error: /no/such/policy: No such file"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(services: Services, kind: str, options: list[str], message: str) -> None:
    assert refusal(services, kind, *options).startswith(message)


def test_a_malformed_command_line_prints_its_line_and_the_help(services: Services) -> None:
    status, out, err = check(services, "proxy", "-p", "x")
    assert (status, err) == (1, "")
    assert out.startswith("OptionError:bad value:x for -p\n")


def test_a_peer_whose_name_means_nothing_is_a_warning_as_names_may_come_later(services: Services) -> None:
    status, out, err = check(services, "storage", "-archive", "no-such-host.invalid:10000")
    assert status == 0
    assert out.startswith("walb-storage can start")
    assert err.startswith("StorageServer: warning: no-such-host.invalid:10000 cannot be found: ")
    assert err.count("\n") == 1


def test_the_base_directory_of_another_kind_is_refused(services: Services) -> None:
    volume = services.folder / "proxy" / "v0"
    volume.mkdir()
    (volume / "base").touch()
    assert "belongs to a walb-archive: volume v0" in refusal(services, "proxy")


def test_volumes_are_counted(services: Services) -> None:
    for name in ("v0", "v1"):
        (services.folder / "proxy" / name).mkdir()
        (services.folder / "proxy" / name / "received").touch()
    assert "with 2 volumes in" in check(services, "proxy")[1]


def test_a_port_in_use_is_found(services: Services) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        line = refusal(services, "proxy", "-p", str(port))
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in line


@pytest.fixture
def running(services: Services) -> Iterator[dict[str, Process]]:
    """A service of each kind at work."""
    processes = {kind: Process(services.command(kind), services.folder / f"{kind}.out") for kind in KINDS[:-1]}
    for process in processes.values():
        process.start()
    for kind, process in processes.items():
        mark = "INFO serving" if kind == "device" else "Ready to accept"
        wait_until(lambda p=process, m=mark: m in p.log.read_text(), LIMIT_SEC, f"{kind} serves")  # type: ignore[misc]
    yield processes
    for process in processes.values():
        assert process.stop() == 0, process.tail()


def test_a_running_service_can_be_checked_and_is_not_disturbed(services: Services, running: dict[str, Process]) -> None:
    for kind in DAEMONS:
        port = listening_port(running[kind])
        status, out, err = check(services, kind, "-p", port)
        assert (status, err) == (0, "")
        assert out.endswith("(in use by a running daemon)\n")
    assert check(services, "device")[1] == "walb-device vol can be served: 2048 blocks (served now)\n"
    assert all(process.is_running() for process in running.values())


def listening_port(process: Process) -> str:
    """From its log."""
    line = next(line for line in process.log.read_text().splitlines() if "listening on" in line)
    return line.rsplit(":", 1)[1]


def test_a_directory_that_cannot_be_written_is_found(services: Services) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    (services.folder / "proxy").chmod(0o500)
    assert "cannot create a file in" in refusal(services, "proxy")


def test_the_devices_of_a_list_are_checked_one_by_one(services: Services) -> None:
    good = f"-n vol -ldev {services.ldev} -ddev {services.ddev}"
    devices = services.folder / "devices"
    devices.write_text(f"{good}\n-n other -ldev {services.ddev} -ddev {services.ldev}\n")
    command = [services.command("device")[0], "-list", str(devices), "-s", str(services.folder / "run"), "--check"]
    status, out, _ = run_here(command)
    lines = out.splitlines()
    assert status == 1
    assert lines[0] == "walb-device vol can be served: 2048 blocks (not served now)"
    assert lines[1].startswith(f"other: error: {services.ddev} is not a log device, but {services.ldev} is one")
