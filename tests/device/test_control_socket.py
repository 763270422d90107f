"""The control socket of a running device: operations through the client, and hostile input."""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.device.walb_devices import BOUND_SEC, Pair, Server
from walbd.device import control
from walbd.device.device import DeviceInfo, LsidSet
from walbd.device.kernel_device import KernelDevice
from walbd.device.resolve import resolve_device
from walbd.device.user_device import UserDevice
from walbd.model.error import (
    BadState,
    InvalidArgument,
    NotFound,
    PeerUnreachable,
    ProtocolViolation,
    Refused,
    WalbError,
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that leave it as they found it."""
    with Server(Pair(tmp_path_factory.mktemp("device"))).wait_ready() as server:
        yield server


def exchange(path: Path, data: bytes) -> list[dict[str, object]]:
    """Sends bytes, half closes, and returns the answers."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(BOUND_SEC)
        sock.connect(str(path))
        try:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # refused before all was sent
        answer = b""
        try:
            while piece := sock.recv(65536):
                answer += piece
        except ConnectionError:
            pass
    return [json.loads(line) for line in answer.splitlines()]


async def test_info_and_lsids_describe_the_device(shared: Server) -> None:
    device = shared.device()
    info = await device.info()
    sector = shared.pair.super_sector()
    assert (info.name, info.kind, info.size_lb, info.pbs) == ("vol", "user", 2048, 512)
    assert (info.uuid, info.salt, info.ring_size_pb) == (sector.uuid, sector.salt, sector.ring_size_pb)
    assert (info.ldev_path, info.ddev_path) == (str(shared.pair.ldev), str(shared.pair.ddev))
    lsids = await device.lsids()
    assert info.log_usage_pb == lsids.latest - lsids.oldest and not info.is_overflow
    for open_one, path in ((device.open_log, shared.pair.ldev), (device.open_data, shared.pair.ddev)):
        fd = open_one()
        assert os.fstat(fd).st_ino == path.stat().st_ino
        with pytest.raises(OSError):
            os.pwrite(fd, b"x", 0)
        os.close(fd)
    await device.close()


async def test_a_waiter_wakes_when_log_becomes_permanent_when_a_checkpoint_comes_and_on_a_reset(tmp_path: Path) -> None:
    with Server(Pair(tmp_path)).wait_ready() as server:
        device = server.device()
        await device.set_checkpoint_interval_ms(0)
        lsids = await device.lsids()
        assert await device.wait(lsids, 0.01) == lsids
        waiting = asyncio.ensure_future(device.wait(lsids, BOUND_SEC))
        client = await asyncio.to_thread(server.client)
        await asyncio.to_thread(client.write, 0, b"x" * 512)
        first = await waiting
        assert first.permanent == first.latest == 2
        lsids = await device.lsids()
        while lsids.written < 2:
            lsids = await device.lsids()
        waiting = asyncio.ensure_future(device.wait(lsids, BOUND_SEC))
        await device.take_checkpoint()
        assert (await waiting).prev_written == 2
        lsids = await device.lsids()
        assert await device.wait(replace(lsids, prev_written=0), BOUND_SEC) == lsids
        waiting = asyncio.ensure_future(device.wait(lsids, BOUND_SEC))
        uuid = (await device.info()).uuid
        await device.reset_wal()
        assert await waiting == LsidSet(0, 0, 0, 0, 0, 0, 0)
        assert (await device.info()).uuid != uuid
        # A reset between two waits is noticed although all lsids are 0 before and after.
        await device.reset_wal()
        assert await device.wait(LsidSet(0, 0, 0, 0, 0, 0, 0), BOUND_SEC) == LsidSet(0, 0, 0, 0, 0, 0, 0)
        client.close()
        await device.close()


async def test_a_waiter_learns_of_a_stop(tmp_path: Path) -> None:
    with Server(Pair(tmp_path)).wait_ready() as server:
        device = server.device()
        waiting = asyncio.ensure_future(device.wait(await device.lsids(), BOUND_SEC))
        await device.info()
        server.process.terminate()
        try:
            await waiting
        except PeerUnreachable:
            pass
        await asyncio.to_thread(server.process.wait)
        with pytest.raises((PeerUnreachable, NotFound)):
            await device.lsids()
        with Server(server.pair).wait_ready():
            assert (await device.lsids()).latest == 0
        await device.close()


async def test_delete_is_refused_while_in_use_unless_forced(tmp_path: Path) -> None:
    with Server(Pair(tmp_path)).wait_ready() as server:
        device = server.device()
        client = await asyncio.to_thread(server.client)
        with pytest.raises(BadState, match="in use"):
            await device.delete(is_forced=False)
        await device.delete(is_forced=True)
        assert await asyncio.to_thread(server.process.wait, BOUND_SEC) == 0
        client.close()
        await device.close()


async def test_errors_keep_their_class_and_hint(shared: Server) -> None:
    device = shared.device()
    with pytest.raises(InvalidArgument) as caught:
        await device.set_oldest(99)
    assert "0..0" in caught.value.hint
    with pytest.raises(InvalidArgument):
        await device.resize(1)
    await device.close()


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"{}\n", "unknown control operation"),
        (b'{"op":"bogus"}\n', "unknown control operation"),
        (b'{"op":["info"]}\n', "unknown control operation"),
        (b'{"op":"set-oldest"}\n', "lsid"),
        (b'{"op":"set-oldest","lsid":-1}\n', "lsid"),
        (b'{"op":"set-oldest","lsid":true}\n', "lsid"),
        (b'{"op":"set-oldest","lsid":1e400}\n', "lsid"),
        (b'{"op":"set-oldest","lsid":18446744073709551616}\n', "lsid"),
        (b'{"op":"wait"}\n', "lsids"),
        (b'{"op":"wait","lsids":{"latest":1}}\n', "completed"),
        (b'{"op":"freeze","timeout_sec":"1"}\n', "timeout_sec"),
        (b'{"op":"set-checkpoint-interval","interval_ms":86400001}\n', "interval"),
        (b"[]\n", "not a JSON object"),
        (b"not json\n", "not JSON"),
        (b"\xff\xfe\n", "not JSON"),
        (b"[" * 60000 + b"\n", "not JSON"),
        (b"x" * (control.MAX_LINE_BYTES + 10), "too long"),
    ],
)
def test_a_bad_request_gets_an_error_and_nothing_else(shared: Server, line: bytes, text: str) -> None:
    answers = exchange(shared.control_path, line)
    assert len(answers) == 1 and text in str(answers[0]["error"])
    assert "ok" in exchange(shared.control_path, b'{"op":"lsids"}\n')[0]


def test_random_bytes_do_not_stop_the_server(shared: Server) -> None:
    rng = random.Random(3)
    for _ in range(50):
        exchange(shared.control_path, rng.randbytes(rng.randrange(300)) + rng.choice([b"\n", b""]))
    assert "ok" in exchange(shared.control_path, b'{"op":"info"}\n')[0]


def test_connections_are_limited_and_given_back(shared: Server) -> None:
    socks = [socket.socket(socket.AF_UNIX) for _ in range(80)]
    for sock in socks:
        sock.connect(str(shared.control_path))
    refused = exchange(shared.control_path, b'{"op":"lsids"}\n')
    assert not refused or "too many" in str(refused[0]["error"])
    for sock in socks:
        sock.close()
    while "ok" not in (exchange(shared.control_path, b'{"op":"lsids"}\n') or [{}])[0]:
        pass


def test_a_device_is_found_by_name_node_and_control_path(shared: Server, tmp_path: Path) -> None:
    for spec in ("vol", "/dev/walb/vol", str(shared.control_path)):
        device = resolve_device(spec, shared.folder)
        assert isinstance(device, UserDevice) and device.control_path == shared.control_path
    for spec in ("vol", "/dev/walb/vol", str(tmp_path / "vol.ctl")):
        with pytest.raises(NotFound):
            resolve_device(spec, tmp_path)
    for spec in ("../vol", "a/b", "", "x" * 26, "control", "/etc/passwd", "/dev/walb/.."):
        with pytest.raises(InvalidArgument):
            resolve_device(spec, tmp_path)


def test_a_node_of_the_driver_is_found_when_there_is_no_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kvol").touch()
    monkeypatch.setattr("walbd.device.resolve.NODE_FOLDER", tmp_path)
    assert isinstance(resolve_device("kvol", tmp_path), KernelDevice)


lsid_sets = st.builds(LsidSet, *[st.integers(0, 2**64 - 1)] * 7)


@given(lsid_sets)
def test_lsid_sets_survive_the_wire(lsids: LsidSet) -> None:
    line = control.encode_line(control.lsids_to_json(lsids))
    assert control.lsids_from_json(control.decode_line(line)) == lsids


def test_device_information_survives_the_wire_and_a_damaged_one_is_refused() -> None:
    info = DeviceInfo("v", "user", 1, 512, bytes(16), 7, 9, True, 3, "/l", "/d")
    value = control.info_to_json(info)
    assert control.info_from_json(value) == info
    del value["salt"]
    with pytest.raises(ProtocolViolation):
        control.info_from_json(value)


@given(st.binary(max_size=200))
def test_no_answer_of_a_server_breaks_the_client(data: bytes) -> None:
    try:
        control.result_of(control.decode_line(data))
    except WalbError:
        pass


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"error": "e", "kind": "BadState"}, BadState),
        ({"error": "e", "kind": "SystemExit"}, Refused),
        ({"error": "e"}, Refused),
    ],
)
def test_only_known_classes_of_errors_are_made_from_answers(answer: dict[str, str], kind: type[WalbError]) -> None:
    with pytest.raises(kind):
        control.result_of(answer)
