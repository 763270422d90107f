"""walb-device as a process: histories against an oracle, kills, restarts, ownership."""

from __future__ import annotations

import os
import random
import signal
import socket
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from demo.group import wait_until
from tests.device.walb_devices import BOUND_SEC, Pair, RawClient, Server
from tests.forked import run_forked
from walbd.device import nbd_protocol as nbd
from walbd.device.nbd_client import NbdClient
from walbd.model.error import PeerUnreachable, StorageFailure


class Oracle:
    """Random operations on a device, and what it must contain."""

    def __init__(self, seed: int, size_bytes: int) -> None:
        self.rng = random.Random(seed)
        self.image = bytearray(size_bytes)

    def range(self, max_blocks: int = 64) -> tuple[int, int]:
        blocks = len(self.image) // 512
        # Half of the operations meet in a small area, so that they overlap.
        area = blocks if self.rng.random() < 0.5 else 128
        begin = self.rng.randrange(area)
        return begin * 512, min(self.rng.randrange(1, max_blocks), blocks - begin) * 512

    def step(self, client: NbdClient) -> None:
        kind = self.rng.random()
        offset, size = self.range()
        if kind < 0.5:
            data = self.rng.randbytes(size)
            client.write(offset, data, fua=self.rng.random() < 0.05)
            self.image[offset : offset + size] = data
        elif kind < 0.65:
            (client.trim if kind < 0.6 else client.write_zeroes)(offset, size)
            self.image[offset : offset + size] = bytes(size)
        elif kind < 0.68:
            client.flush()
        else:
            assert client.read(offset, size) == self.image[offset : offset + size]


@pytest.mark.parametrize("pbs", [512, 4096])
def test_reads_see_every_write_while_the_ring_wraps_many_times(tmp_path: Path, pbs: int) -> None:
    pair = Pair(tmp_path, log_bytes=192 * pbs if pbs == 512 else 128 * pbs, pbs=pbs)
    oracle = Oracle(pbs, pair.size_bytes)
    with Server(pair).wait_ready() as server:
        with server.client() as one, server.client() as two:
            for number in range(700):
                oracle.step((one, two)[number % 2])
            assert one.read(0, pair.size_bytes) == oracle.image
        assert server.stop() == 0
    sector = pair.super_sector()
    assert sector.written_lsid > 10 * sector.ring_size_pb
    assert pair.ddev.read_bytes() == oracle.image


def test_a_write_right_before_garbage_is_carried_out_at_once(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    with Server(pair).wait_ready() as server:
        client = RawClient(server.nbd_path)
        write = nbd.REQUEST.pack(nbd.REQUEST_MAGIC, 0, nbd.CMD_WRITE, 1, 0, 512) + b"w" * 512
        client.socket.sendall(write + b"g" * nbd.REQUEST.size)
        wait_until(lambda: pair.ddev.read_bytes()[:512] == b"w" * 512, BOUND_SEC, "the write")
        client.socket.close()
        assert server.stop() == 0


def test_a_terminal_that_closes_takes_no_device_away(tmp_path: Path) -> None:
    with Server(Pair(tmp_path)).wait_ready() as server, server.client() as client:
        server.process.send_signal(signal.SIGHUP)
        client.write(0, b"x" * 512)
        assert client.read(0, 512) == b"x" * 512
        assert server.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_stops_cleanly_and_nothing_is_left_to_redo(tmp_path: Path, number: int) -> None:
    pair = Pair(tmp_path)
    with Server(pair).wait_ready() as server, server.client() as client:
        client.write(4096, b"a" * 4096)
        assert server.stop(number) == 0
    assert pair.ddev.read_bytes()[4096:8192] == b"a" * 4096
    assert not list(tmp_path.glob("*.ctl")) and not list(tmp_path.glob("*.nbd"))
    with Server(pair).wait_ready() as server:
        assert server.stop() == 0
        assert "redone" not in server.log_path.read_text()


def run_until_killed(server: Server, oracle: Oracle, n_before_kill: int) -> list[bytes]:
    """Pipelines writes on one connection and kills the server when some are acknowledged. Returns the images after each
    write that may be in the log: from the last acknowledged one on."""
    client = RawClient(server.nbd_path)
    images = [bytes(oracle.image)]
    acknowledged = 0
    try:
        for cookie in range(1, n_before_kill + 40):
            offset, size = oracle.range(24)
            kind = oracle.rng.random()
            if kind < 0.8:
                data = oracle.rng.randbytes(size)
                client.request(nbd.CMD_WRITE, cookie, offset, size, data, flags=int(kind < 0.04))
            else:
                data = bytes(size)
                client.request(nbd.CMD_TRIM if kind < 0.9 else nbd.CMD_WRITE_ZEROES, cookie, offset, size)
            oracle.image[offset : offset + size] = data
            images.append(bytes(oracle.image))
            if cookie == n_before_kill:
                server.process.kill()
            if cookie > oracle.rng.randrange(1, 33):
                cookie_back, error = client.reply()
                assert error == 0
                acknowledged = max(acknowledged, cookie_back)
        raise AssertionError("the server was not killed")
    except (EOFError, ConnectionError, BrokenPipeError):
        server.process.wait()
        client.close()
    return images[acknowledged:]


def is_between(content: bytes, before: bytes, after: bytes) -> bool:
    """True when the content is that before a request, after it, or with the first of its blocks done: a request that
    becomes several log records may be cut by a kill."""
    done = 0
    while done < len(content) and content[done : done + 512] == after[done : done + 512]:
        done += 512
    return content[done:] == before[done:]


def kill_and_restart(tmp_path: Path, seed: int, n_kills: int) -> None:
    rng = random.Random(seed)
    pbs = rng.choice([512, 4096])
    pair = Pair(tmp_path, log_bytes=rng.choice([96, 400]) * pbs, data_bytes=256 << 10, pbs=pbs)
    oracle = Oracle(seed, pair.size_bytes)
    for _ in range(n_kills):
        with Server(pair).wait_ready() as server:
            with server.client() as client:
                assert client.read(0, pair.size_bytes) == oracle.image
            possible = run_until_killed(server, oracle, rng.randrange(1, 300))
        with Server(pair).wait_ready() as server:
            with server.client() as client:
                content = client.read(0, pair.size_bytes)
            # Acknowledged writes are all there; of the others a prefix, in the order they were sent.
            assert any(is_between(content, before, after) for before, after in pairwise([*possible, possible[-1]]))
            oracle.image[:] = content
            assert server.stop() == 0 if rng.random() < 0.3 else server.kill() is None


@pytest.mark.parametrize("number", range(4))
def test_every_acknowledged_write_survives_a_kill(tmp_path: Path, number: int, seed: int) -> None:
    kill_and_restart(tmp_path, 4 * seed + number, 5)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", range(100, 150))
def test_every_acknowledged_write_survives_many_kills(tmp_path: Path, number: int) -> None:
    kill_and_restart(tmp_path, number, 10)


def test_an_idle_device_becomes_permanent_and_written_by_itself(tmp_path: Path) -> None:
    import asyncio

    async def watch(server: Server) -> None:
        device = server.device()
        lsids = await device.lsids()
        while not lsids.permanent == lsids.written == lsids.latest > 0:
            lsids = await device.wait(lsids, 0.1)  # written alone wakes nobody
            if lsids.permanent == lsids.latest:
                await device.take_checkpoint()
        await device.close()

    with Server(Pair(tmp_path)).wait_ready() as server:
        with server.client() as client:
            client.write(0, b"x" * 512)
        asyncio.run(watch(server))
        assert server.pair.ddev.read_bytes()[:512] == b"x" * 512


def start_and_fail(pair: Pair, name: str, folder: Path, options: Sequence[str] = ()) -> str:
    paths = ["-ldev", str(pair.ldev), "-ddev", str(pair.ddev), "-s", str(folder)]
    status, out, err = run_forked(["walb-device", "-n", name, *paths, *options], BOUND_SEC)
    assert status == 1 and out == ""
    last = err.strip().splitlines()[-1]
    assert last.startswith("walb-device: error: ")
    return last


def test_devices_and_names_have_one_owner(tmp_path: Path) -> None:
    for folder in ("a", "b", "c"):
        (tmp_path / folder).mkdir()
    pair, other = Pair(tmp_path / "a"), Pair(tmp_path / "b")
    with Server(pair).wait_ready() as server:
        assert "in use" in start_and_fail(pair, "two", tmp_path / "c")
        assert "is served in" in start_and_fail(other, "vol", tmp_path / "a")
        with server.client() as client:
            client.write(0, b"still served".ljust(512))


def test_a_dead_servers_sockets_are_replaced(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    with Server(pair).wait_ready() as server:
        server.kill()
    assert server.control_path.exists()
    with Server(pair).wait_ready() as server, server.client() as client:
        assert client.size_bytes == pair.size_bytes


def test_a_foreign_servers_socket_is_refused(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    with socket.socket(socket.AF_UNIX) as foreign:
        foreign.bind(str(tmp_path / "vol.nbd"))
        foreign.listen()
        assert "is served in" in start_and_fail(pair, "vol", tmp_path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda pair: pair.ldev.write_bytes(bytes(1 << 20)), "super sector"),
        (lambda pair: os.truncate(pair.ddev, 4096), "belongs to the log device"),
        (lambda pair: os.truncate(pair.ldev, 20 << 10), "larger than the log device"),
        (lambda pair: pair.ldev.unlink(), "No such file"),
        (lambda pair: (pair.ddev.unlink(), pair.ddev.mkdir()), "neither a file nor a block device"),
    ],
)
def test_a_pair_that_cannot_be_served_is_refused_in_one_line(tmp_path: Path, damage: object, message: str) -> None:
    pair = Pair(tmp_path)
    damage(pair)  # type: ignore[operator]
    assert message in start_and_fail(pair, "vol", tmp_path)


def test_a_damaged_super_sector_is_refused_with_a_warning_of_what_formatting_loses(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    with open(pair.ldev, "r+b") as file:
        file.seek(4096 + 80)
        file.write(b"\x01")
    told = start_and_fail(pair, "vol", tmp_path)
    assert "wrong checksum" in told
    assert "copy both devices away first: the log may hold the only copy of acknowledged writes" in told


def test_a_log_device_that_was_never_formatted_is_refused_with_the_command_that_does(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    pair.ldev.write_bytes(bytes(256 << 10))
    told = start_and_fail(pair, "vol", tmp_path)
    assert f"a new one is made ready with: wdevc format-ldev {pair.ldev}" in told


@pytest.mark.parametrize("options", [[], ["--check"]])
def test_devices_that_are_exchanged_or_one_and_the_same_are_told_apart_from_damaged_ones(
    tmp_path: Path, options: list[str]
) -> None:
    pair = Pair(tmp_path)
    right = pair.ldev.read_bytes(), pair.ddev.read_bytes()
    pair.ldev, pair.ddev = pair.ddev, pair.ldev
    told = start_and_fail(pair, "vol", tmp_path, options)
    assert told.endswith(
        f"{pair.ldev} is not a log device, but {pair.ddev} is one (hint: are -ldev and -ddev exchanged?)"
    )
    pair.ldev, pair.ddev = pair.ddev, pair.ddev
    assert "is named as the log device and as the data device" in start_and_fail(pair, "vol", tmp_path, options)
    assert ((tmp_path / "ldev").read_bytes(), (tmp_path / "ddev").read_bytes()) == right


def test_hostile_clients_do_not_disturb_others(tmp_path: Path) -> None:
    rng = random.Random(5)
    with Server(Pair(tmp_path)).wait_ready() as server, server.client() as good:
        good.write(0, b"g" * 512)
        for _ in range(20):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(str(server.nbd_path))
                sock.sendall(rng.choice([b"", b"\0\0\0\3IHAVEOPT", b"\0\0\0\3"]) + rng.randbytes(rng.randrange(200)))
        for _ in range(10):  # vanish in the middle of a write
            raw = RawClient(server.nbd_path)
            raw.request(nbd.CMD_WRITE, 1, 0, 4096, b"bad" * rng.randrange(1000))
            raw.close()
        raw = RawClient(server.nbd_path)
        for cookie, (command, offset, size, flags) in enumerate(
            [(nbd.CMD_READ, 1 << 40, 512, 0), (nbd.CMD_TRIM, 100, 512, 0), (9, 0, 0, 0), (nbd.CMD_FLUSH, 0, 0, 64)]
        ):
            raw.request(command, cookie, offset, size, flags=flags)
            assert raw.reply() == (cookie, nbd.EINVAL)
        raw.request(nbd.CMD_WRITE, 9, server.pair.size_bytes, 512, bytes(512))
        assert raw.reply() == (9, nbd.ENOSPC)
        raw.request(nbd.CMD_WRITE, 10, 512, 512, b"r" * 512)
        assert raw.reply() == (10, 0)
        raw.socket.sendall(b"nonsense" * 10)
        with pytest.raises((EOFError, ConnectionError)):
            raw.receive(1)
        assert good.read(0, 1024) == b"g" * 512 + b"r" * 512


def test_the_largest_request_passes_a_small_ring(tmp_path: Path) -> None:
    pair = Pair(tmp_path, log_bytes=1 << 20, data_bytes=nbd.MAX_PAYLOAD_BYTES)
    data = random.Random(1).randbytes(nbd.MAX_PAYLOAD_BYTES)
    with Server(pair).wait_ready() as server:
        raw = RawClient(server.nbd_path)
        raw.request(nbd.CMD_WRITE, 1, 0, len(data), data)
        assert raw.reply() == (1, 0)
        raw.request(nbd.CMD_READ, 2, 0, len(data))
        assert raw.reply() == (2, 0)
        assert raw.receive(len(data)) == data


def test_the_client_names_what_went_wrong(tmp_path: Path) -> None:
    with pytest.raises(PeerUnreachable):
        NbdClient(tmp_path / "none.nbd")
    with Server(Pair(tmp_path)).wait_ready() as server:
        with pytest.raises(StorageFailure):
            NbdClient(server.nbd_path, "other")
        with server.client() as client, pytest.raises(StorageFailure, match="Invalid"):
            client.read(client.size_bytes, 512)


def test_a_tcp_port_in_use_is_refused_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with Server(Pair(tmp_path), options=("-tcp", address)) as server:
            assert server.process.wait(BOUND_SEC) == 1
            lines = [line for line in server.log_path.read_text().splitlines() if "error" in line]
            hint = "is the port in use, is the address one of this host?"
            assert lines == [f"walb-device: error: cannot listen on {address}: Address already in use (hint: {hint})"]
