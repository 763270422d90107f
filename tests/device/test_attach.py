"""Attaching a device to the kernel, with a stand-in for the kernel's NBD client; tests/vm has the real one."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from tests.device.walb_devices import BOUND_SEC, Pair
from tests.group_testing import until
from walbd.device import nbd_netlink
from walbd.device import nbd_protocol as nbd
from walbd.device.attachment import AttachmentFolder
from walbd.device.control import Json
from walbd.device.kernel_nbd import KernelNbd, parse_node
from walbd.device.user.server import DeviceServer, ServerOptions
from walbd.device.user_device import UserDevice
from walbd.device.wdevc_attach import detach
from walbd.model.address import Address
from walbd.model.error import AlreadyExists, BadState, InvalidArgument, StorageFailure
from walbd.world.world import World


class FakeDevice:
    """One /dev/nbdN: who it belongs to, how large it is, and the kernel's end of its connection."""

    def __init__(self, request: Json, sock: socket.socket) -> None:
        self.request = request
        self.socket = sock.dup()

    def is_dead(self) -> bool:
        try:
            return self.socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True  # replaced meanwhile, and closed

    def drop(self) -> None:
        """What the kernel does after a time-out."""
        self.socket.shutdown(socket.SHUT_RDWR)

    def ask(self, command: int, offset: int, size: int, payload: bytes = b"") -> bytes:
        """One request; returns what was read. Blocks."""
        self.socket.settimeout(BOUND_SEC)
        self.socket.sendall(nbd.REQUEST.pack(nbd.REQUEST_MAGIC, 0, command, 7, offset, size) + payload)
        answer = self.socket.recv(nbd.REPLY.size, socket.MSG_WAITALL)
        assert nbd.REPLY.unpack(answer) == (nbd.REPLY_MAGIC, 0, 7)
        data = self.socket.recv(size, socket.MSG_WAITALL) if command == nbd.CMD_READ else b""
        self.socket.settimeout(None)
        return data


class FakeKernel(KernelNbd):
    """Answers netlink requests as Linux 6.1 does, and keeps a sysfs."""

    def __init__(self, folder: Path) -> None:
        super().__init__(self.answer, folder)
        self.devices: dict[int, FakeDevice] = {}
        self.in_use: set[int] = set()
        self.calls: list[Json] = []
        self.slow_to_notice = 0
        self._folder = folder

    def answer(self, request: Json, sock: socket.socket | None) -> Json:
        self.calls.append(request)
        command, index = request["command"], request["index"]
        if command == nbd_netlink.CONNECT:
            assert sock is not None
            if index is None:
                index = next(number for number in range(16) if number not in self.devices)
            if index in self.devices:
                raise nbd_netlink.failure(request, errno.EBUSY)
            self.devices[index] = FakeDevice(request, sock)
            entry = self._folder / f"nbd{index}"
            entry.mkdir(exist_ok=True)
            (entry / "backend").write_text(request["backend_identifier"] + "\n")
            (entry / "dev").write_text(f"43:{index}\n")
            return {"index": index}
        device = self.devices.get(index)
        if device is None:
            raise nbd_netlink.failure(request, errno.EINVAL)
        if command == nbd_netlink.DISCONNECT:
            self.disconnect_from_elsewhere(index)
            return {"index": index}
        if request["backend_identifier"] != device.request["backend_identifier"]:
            raise nbd_netlink.failure(request, errno.EINVAL)
        device.request = {**device.request, "size_bytes": request["size_bytes"]}
        if sock is not None and device.is_dead():
            if self.slow_to_notice:
                self.slow_to_notice -= 1
            else:
                self.devices[index] = FakeDevice(device.request, sock)
                device.socket.close()  # now that the test does not look at it any more
        return {"index": index}

    def disconnect_from_elsewhere(self, index: int) -> None:
        device = self.devices.pop(index)
        if not device.is_dead():
            device.socket.sendall(nbd.REQUEST.pack(nbd.REQUEST_MAGIC, 0, nbd.CMD_DISC, 0, 0, 0))
        device.socket.close()
        (self._folder / f"nbd{index}" / "backend").unlink()

    def reboot(self) -> None:
        """Forgets everything."""
        for index in list(self.devices):
            self.disconnect_from_elsewhere(index)

    @contextmanager
    def unused(self, index: int) -> Iterator[None]:
        if index in self.in_use:
            raise BadState(f"/dev/nbd{index} is in use")
        yield


class Host:
    """A pair of devices, a kernel and a folder of nodes, on which servers come and go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pair = Pair(folder)
        (folder / "sys").mkdir()
        self.kernel = FakeKernel(folder / "sys")
        self.node = folder / "dev" / "vol"
        self.record = folder / "vol.attached"

    @asynccontextmanager
    async def server(self) -> AsyncIterator[UserDevice]:
        options = ServerOptions("vol", str(self.pair.ldev), str(self.pair.ddev), self.folder)
        task = asyncio.create_task(DeviceServer(options, World(), self.kernel, self.node.parent).run())
        control = self.folder / "vol.ctl"
        await until(lambda: task.done() or control.exists())
        if task.done():
            await task
        device = UserDevice(control)
        try:
            yield device
        finally:
            await device.close()
            if not task.done():
                os.kill(os.getpid(), 15)
            assert await task == 0

    def device(self) -> FakeDevice:
        """The one that is attached."""
        (device,) = self.kernel.devices.values()
        return device

    def folder_record(self) -> AttachmentFolder:
        return AttachmentFolder(self.folder, "vol", World().files, self.node.parent)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


async def test_the_kernel_reads_and_writes_the_device_it_was_given(host: Host) -> None:
    async with host.server() as device:
        assert await device.attach(None, 30, 600) == "/dev/nbd0"
        assert await device.numbers() == (43, 0)
        assert os.readlink(host.node) == "/dev/nbd0"
        request = host.device().request
        assert request["size_bytes"] == host.pair.size_bytes and request["block_size_bytes"] == 512
        assert (request["timeout"], request["dead_conn_timeout"]) == (30, 600)
        assert request["server_flags"] & (nbd.SEND_FLUSH | nbd.SEND_FUA | nbd.SEND_TRIM)
        await asyncio.to_thread(host.device().ask, nbd.CMD_WRITE, 4096, 512, b"x" * 512)
        assert await asyncio.to_thread(host.device().ask, nbd.CMD_READ, 4096, 512) == b"x" * 512
        await device.detach(False)
        assert not host.kernel.devices and not host.record.exists() and not host.node.is_symlink()
        assert await device.numbers() == (0, 0)


async def test_the_node_asked_for_is_taken_or_refused_without_a_trace(host: Host) -> None:
    async with host.server() as device:
        await device.attach(5, 30, 600)
        assert list(host.kernel.devices) == [5]
        with pytest.raises(BadState, match="attached already"):
            await device.attach(None, 30, 600)
        await device.detach(False)
        host.kernel.devices[3] = FakeDevice({"backend_identifier": "other"}, socket.socketpair()[0])
        with pytest.raises(BadState, match="/dev/nbd3 is in use"):
            await device.attach(3, 30, 600)
        assert not host.record.exists() and not host.node.is_symlink()
        for numbers in ((70000, 1, 1), (1, 0, 1), (1, 1, 10**6)):
            with pytest.raises(InvalidArgument):
                await device.attach(*numbers)


async def test_a_node_of_the_kernel_driver_is_not_replaced(host: Host) -> None:
    host.node.parent.mkdir()
    host.node.touch()
    async with host.server() as device:
        with pytest.raises(AlreadyExists):
            await device.attach(None, 30, 600)
    assert host.node.is_file() and not host.record.exists()


async def test_the_next_server_takes_the_kernels_device_over_before_other_clients(host: Host) -> None:
    async with host.server() as device:
        await device.attach(None, 30, 600)
    assert host.device().is_dead() and host.record.exists() and host.node.is_symlink()
    host.kernel.slow_to_notice = 2
    sockets_there: list[bool] = []
    original = host.kernel.answer
    host.kernel._call = lambda request, sock: (
        sockets_there.append((host.folder / "vol.nbd").exists()) or original(request, sock)
    )
    async with host.server() as device:
        assert sockets_there == [False] * 3
        assert await device.numbers() == (43, 0)
        assert await asyncio.to_thread(host.device().ask, nbd.CMD_READ, 0, 512) == bytes(512)


async def test_a_start_that_fails_leaves_what_the_kernel_asks_for_to_the_next_server(host: Host) -> None:
    async with host.server() as device:
        await device.attach(None, 30, 600)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = Address("127.0.0.1", taken.getsockname()[1])
        options = ServerOptions("vol", str(host.pair.ldev), str(host.pair.ddev), host.folder, tcp=address)
        with pytest.raises(StorageFailure, match="cannot listen"):
            await DeviceServer(options, World(), host.kernel, host.node.parent).run()
    taken_over = host.device()
    with contextlib.suppress(ConnectionError):
        taken_over.socket.sendall(nbd.REQUEST.pack(nbd.REQUEST_MAGIC, 0, nbd.CMD_WRITE, 7, 0, 512) + bytes(512))
        assert await asyncio.to_thread(taken_over.socket.recv, nbd.REPLY.size) == b""
    async with host.server():
        assert host.device() is not taken_over
        await asyncio.to_thread(host.device().ask, nbd.CMD_WRITE, 0, 512, b"x" * 512)


async def test_a_connection_the_kernel_dropped_is_replaced_while_the_server_lives(host: Host) -> None:
    async with host.server() as device:
        await device.attach(None, 30, 600)
        dropped = host.device()
        await asyncio.to_thread(dropped.ask, nbd.CMD_WRITE, 0, 512, b"x" * 512)
        dropped.drop()
        await until(lambda: host.device() is not dropped)
        assert await asyncio.to_thread(host.device().ask, nbd.CMD_READ, 0, 512) == b"x" * 512


async def test_after_a_reboot_the_device_is_attached_anew(host: Host) -> None:
    async with host.server() as device:
        await device.attach(4, 30, 600)
    host.kernel.reboot()
    host.node.unlink()
    async with host.server() as device:
        assert list(host.kernel.devices) == [4] and host.node.is_symlink()


async def test_a_node_that_belongs_to_someone_else_now_is_left_alone(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    async with host.server() as device:
        await device.attach(4, 30, 600)
    host.kernel.reboot()
    host.kernel.devices[4] = other = FakeDevice({"backend_identifier": "other"}, socket.socketpair()[0])
    async with host.server() as device:
        assert (await device.info()).name == "vol"
        assert not host.node.is_symlink() and host.kernel.devices[4] is other
        assert "not attached to the kernel: /dev/nbd4 is in use" in capsys.readouterr().err
        await device.detach(False)
        assert host.kernel.devices[4] is other and not host.record.exists()


async def test_what_another_program_disconnected_is_not_connected_again(host: Host) -> None:
    async with host.server() as device:
        await device.attach(None, 30, 600)
        host.kernel.disconnect_from_elsewhere(0)
        await until(lambda: not host.node.is_symlink())
        assert await device.numbers() == (0, 0) and not host.kernel.devices
        await device.detach(False)


async def test_a_device_in_use_is_detached_by_force_only_and_goes_on_when_refused(host: Host) -> None:
    async with host.server() as device:
        await device.attach(None, 30, 600)
        host.kernel.in_use.add(0)
        with pytest.raises(BadState, match="in use"):
            await device.detach(False)
        assert await asyncio.to_thread(host.device().ask, nbd.CMD_READ, 0, 512) == bytes(512)
        host.device().drop()
        await until(lambda: not host.device().is_dead())
        await device.detach(True)
        assert not host.kernel.devices


async def test_the_kernel_learns_a_new_size(host: Host) -> None:
    async with host.server() as device:
        await device.attach(None, 30, 600)
        os.truncate(host.pair.ddev, 2 << 20)
        await device.resize(0)
        assert host.device().request["size_bytes"] == 2 << 20


async def test_an_attached_device_is_deleted_by_force_only(host: Host) -> None:
    async with host.server() as device:
        await device.attach(None, 30, 600)
        with pytest.raises(BadState, match="attached as /dev/nbd0"):
            await device.delete(False)
        await device.delete(True)
        assert not host.kernel.devices and not host.record.exists()


async def test_a_device_whose_server_is_dead_is_detached_too(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    async with host.server() as device:
        await device.attach(None, 30, 600)
    monkeypatch.setattr("walbd.device.wdevc_attach.KernelNbd", lambda: host.kernel)
    await detach("vol", host.folder, False)
    assert not host.kernel.devices and not host.record.exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"index": 1}',
        '{"link": {"identifier": "a", "timeout_sec": 0, "dead_sec": 1}, "index": 1}',
        '{"link": {"identifier": "a", "timeout_sec": 1, "dead_sec": 1}, "index": -1}',
        '{"link": {"identifier": "", "timeout_sec": 1, "dead_sec": 1}, "index": null}',
    ],
)
async def test_a_damaged_record_is_reported_and_the_device_served(
    host: Host, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    host.record.write_text(text)
    async with host.server() as device:
        assert (await device.info()).name == "vol"
    assert "is no record of an attached device" in capsys.readouterr().err


@pytest.mark.parametrize("path", ["/dev/nbd", "nbd0", "/dev/nbd00", "/dev/nbd70000", "/dev/nbd-1", "/dev/sda"])
def test_only_nbd_nodes_are_taken(path: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_node(path)


def test_nbd_nodes_are_taken_by_number() -> None:
    assert [parse_node(path) for path in ("/dev/nbd0", "/dev/nbd65535")] == [0, 65535]


def test_error_numbers_of_the_kernel_are_told_in_words() -> None:
    connect = {"command": nbd_netlink.CONNECT, "index": 3}
    assert "as root" in str(nbd_netlink.failure(connect, errno.EPERM))
    assert "/dev/nbd3 is in use" in str(nbd_netlink.failure(connect, errno.EBUSY))
    assert "refused /dev/nbd3: EINVAL" in str(nbd_netlink.failure(connect, errno.EINVAL))
    disconnect = {"command": nbd_netlink.DISCONNECT, "index": 3}
    assert isinstance(nbd_netlink.failure(disconnect, errno.EINVAL), BadState)
