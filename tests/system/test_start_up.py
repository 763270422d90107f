"""Starting: what stops a server from starting, and what must not."""

from __future__ import annotations

import itertools
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from demo.group import HOST, wait_until
from tests.system.backup_group import BackedUpVolume, RelayedGroup, run, run_many

KINDS = ("storage", "proxy", "archive")
NEEDED = {"storage": ["-archive", f"{HOST}:1", "-proxy", f"{HOST}:1"]}
# A storage that finds no proxy at its start looks again after 10 s: those orders take long.
ORDERS = [
    pytest.param(
        order, marks=[] if order.index("proxy") < order.index("storage") else [pytest.mark.long], id="-".join(order)
    )
    for order in itertools.permutations(KINDS)
]


def words(kind: str, base: Path, *more: str) -> list[str]:
    """The command line of a server that cannot start."""
    return [f"walb-{kind}", "-b", str(base), "-p", "0", "-bind", HOST, *NEEDED.get(kind, []), *more]


@pytest.mark.parametrize("kind", KINDS)
def test_an_occupied_port_is_a_start_up_error(kind: str, tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        error = run(*words(kind, tmp_path, "-p", str(port), "-l", "log")).error
    assert error.startswith(f"{kind.capitalize()}Server: error: ") and str(port) in error
    assert "hint" in error
    assert str(port) in (tmp_path / "log").read_text().splitlines()[-1]


def test_a_base_directory_that_cannot_be_used_is_a_start_up_error(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    places = {"a file": file, "below a file": file / "base", "no parent": tmp_path / "no" / "parent"}
    for kind in KINDS:
        commands = {f"{kind} {what}": words(kind, place) for what, place in places.items()}
        for what, ended in run_many(commands).items():
            assert "base directory" in ended.error and "hint" in ended.error, what


@pytest.mark.parametrize("kind", KINDS)
def test_a_log_file_that_cannot_be_opened_is_a_start_up_error(kind: str, tmp_path: Path) -> None:
    error = run(*words(kind, tmp_path, "-l", str(tmp_path / "no" / "log"))).error
    assert "log file" in error and "hint" in error


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="needs a folder nobody can write to")
@pytest.mark.parametrize("kind", KINDS)
def test_an_unwritable_base_directory_is_a_start_up_error_even_for_root(kind: str) -> None:
    error = run(*words(kind, Path("/sys/kernel"))).error
    assert "/sys/kernel" in error


def test_a_base_directory_of_another_kind_of_server_is_refused(group: RelayedGroup, volume: BackedUpVolume) -> None:
    commands = {}
    for kind, other in itertools.permutations(KINDS, 2):
        commands[f"{kind} on {other}"] = words(kind, group.folder / other)
    for what, ended in run_many(commands).items():
        assert ended.status == 1 and "base directory" in ended.error, what


def test_a_stopped_servers_base_directory_still_belongs_to_its_kind(own_group: RelayedGroup) -> None:
    volume = own_group.volume(seed=1)
    own_group.stop()
    volume.disconnect()
    for kind, other in itertools.permutations(KINDS, 2):
        error = run(*words(kind, own_group.folder / other)).error
        assert f"belongs to a walb-{other}" in error and volume.name in error


@pytest.mark.parametrize("kind", KINDS)
def test_two_servers_cannot_share_a_base_directory(group: RelayedGroup, kind: str) -> None:
    assert "another daemon uses" in run(*words(kind, group.folder / kind)).error


@pytest.mark.parametrize("order", ORDERS)
def test_servers_start_in_any_order(make_group: Callable[..., RelayedGroup], order: tuple[str, ...]) -> None:
    group = make_group()
    group.start()
    volume = group.volume(seed=2)
    volume.write(64 << 10)
    volume.back_up()
    for server in group.servers:
        assert server.stop() == 0
    volume.write(64 << 10)
    for kind in order:
        group.restart(getattr(group, kind))
    # Nobody says `start` or `kick`: volumes go on as they were.
    volume.snapshot()
    volume.wait_arrival(kick=False)
    volume.check_snapshots()


def test_an_archive_that_starts_later_gets_everything(make_group: Callable[..., RelayedGroup]) -> None:
    group = make_group()
    group.start()
    volume = group.volume(seed=3)
    volume.back_up()
    group.archive.stop()
    group.proxy.stop()
    for _ in range(3):
        volume.write(128 << 10)
        volume.snapshot()
    group.restart(group.proxy)
    group.walbc(group.storage, "kick")
    wait_until(lambda: bool(group.walbc(group.proxy, "get", "proxy-diff", volume.name, "a0")), 20, "diffs at the proxy")
    group.restart(group.archive)
    volume.check_snapshots()


def test_stray_directories_and_damaged_volumes_stop_nothing(own_group: RelayedGroup) -> None:
    group = own_group
    good, missing, damaged = (group.volume(seed=number) for number in (4, 5, 6))
    for volume in (good, missing, damaged):
        volume.write(64 << 10)
        volume.back_up()
        volume.snapshot()
        volume.wait_arrival()
    for server in group.servers:
        server.stop()
    for kind in KINDS:
        (group.folder / kind / "lost+found").mkdir()
        (group.folder / kind / "my notes").mkdir()
        (group.folder / kind / "stray-file").write_text("x")
        (group.folder / kind / "a.b").symlink_to("/")
    image = group.folder / "archive" / missing.name / f"wb_{missing.name}"
    image.rename(group.folder / "kept")
    for kind, name in (("storage", "done"), ("proxy", "size"), ("archive", "base")):
        path = group.folder / kind / damaged.name / name
        if path.exists():
            path.write_bytes(b"\xff" * 30)
    for server in group.servers:
        group.restart(server)
        assert "lost+found" in group.log_of(server)
    for volume in (missing, damaged):
        assert group.state(group.archive, volume.name) == "Failed"
        status = group.walbc(group.archive, "status", volume.name)
        assert "clear-vol" in status and volume.name in status
        assert "clear-vol" in group.ask(group.archive, "restore", volume.name, "2").error
        assert not (group.folder / "archive" / volume.name / f"wr_{volume.name}_2").exists()
    assert str(image) in group.walbc(group.archive, "status", missing.name)
    assert not image.exists()
    assert group.state(group.storage, damaged.name) == "Failed"
    assert "done" in group.walbc(group.storage, "status", damaged.name)
    assert "done" in group.ask(group.storage, "snapshot", damaged.name).error
    for server in group.servers:
        assert group.walbc(server, "status")
    good.write(64 << 10)
    good.snapshot()
    good.check_snapshots()
    check_the_remedy_works(missing, image)


def check_the_remedy_works(volume: BackedUpVolume, image: Path) -> None:
    """The image comes back, and the archive starts again: every snapshot is there."""
    group = volume.group
    (group.folder / "kept").rename(image)
    group.archive.stop()
    group.restart(group.archive)
    volume.check_snapshots()


def test_a_volume_whose_device_is_away_stops_nothing(own_group: RelayedGroup) -> None:
    group = own_group
    good, away = group.volume(seed=7), group.volume(seed=8)
    for volume in (good, away):
        volume.back_up()
    away.disconnect()
    group.devices[away.device].stop()
    for again in (False, True):
        if again:
            group.storage.stop()
            group.restart(group.storage)
        assert away.device in group.walbc(group.storage, "status")
        assert away.device in group.ask(group.storage, "snapshot", away.name).error
        good.write(64 << 10)
        good.snapshot()
        good.check_snapshots()
    group.start_device(away.device)
    away.write(64 << 10)
    away.snapshot()
    away.check_snapshots()


def test_sighup_reopens_the_log_after_a_rename(own_group: RelayedGroup) -> None:
    for server in own_group.servers:
        path = Path(server.command[server.command.index("-l") + 1])
        old = path.with_suffix(".old")
        path.rename(old)
        assert server.popen
        server.popen.send_signal(signal.SIGHUP)
        wait_until(path.exists, 10, f"{path} is there again")
        size = old.stat().st_size
        own_group.walbc(server, "shutdown", "force", "--wait")
        assert server.popen.wait(10) == 0
        assert old.stat().st_size == size
        assert "shutdown" in path.read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_log_does_not_end_a_server(make_group: Callable[..., RelayedGroup], kind: str) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    group = make_group(**{kind: ["-l", "/dev/full"]})
    group.start()
    assert group.walbc(getattr(group, kind), "get", "host-type").strip() == kind
