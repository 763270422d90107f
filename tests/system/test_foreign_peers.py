"""A peer that speaks something else, or our protocol wrongly: one line in the log, and the daemon goes on."""

from __future__ import annotations

import random
import socket
import threading

import pytest

from demo.group import HOST
from tests.conftest import IS_LONG
from tests.system.backup_group import BackedUpVolume, RelayedGroup
from tests.system.hostile import HostilePeer, control_request, head, hello
from walbd.net.frame import MAX_PAYLOAD_BYTES, FrameType, encode

SERVERS = ("storage", "proxy", "archive")
FOREIGN = {
    "http": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "it speaks HTTP"),
    "tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "it speaks TLS"),
    "ssh": (b"SSH-2.0-OpenSSH_9.6\r\n", "it speaks SSH"),
    "walb-tools": (b"\x02s0\x06status\x01\x00\x00\x00", "walb-tools"),
    "garbage": (random.Random(5).randbytes(4096), "does not speak the WalB protocol"),
    "zeros": (bytes(4096), "does not speak the WalB protocol"),
}


def check_serves(group: RelayedGroup, kind: str) -> None:
    """A command is answered."""
    assert group.walbc(getattr(group, kind), "get", "host-type").strip() == kind


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("protocol", FOREIGN)
def test_a_peer_of_another_protocol_is_told_in_one_line(group: RelayedGroup, kind: str, protocol: str) -> None:
    data, reason = FOREIGN[protocol]
    server = getattr(group, kind)
    with HostilePeer(server.port) as peer:
        peer.send(data)
        answer = peer.rest().decode(errors="replace")
    assert reason in answer and f"walb-{kind}" in answer
    assert reason in group.log_of(server)
    check_serves(group, kind)


@pytest.mark.parametrize("kind", SERVERS)
def test_versions_without_overlap_are_refused_naming_both(group: RelayedGroup, kind: str) -> None:
    with HostilePeer(getattr(group, kind).port) as peer:
        peer.send(hello("status", "walbc", (7, 9)))
        error = peer.error()
    assert "7 to 9" in error and "speaks 1" in error, error
    check_serves(group, kind)


@pytest.mark.parametrize("kind", SERVERS)
def test_the_highest_common_version_is_used(group: RelayedGroup, kind: str) -> None:
    with HostilePeer(getattr(group, kind).port) as peer:
        peer.greet("version", "walbc", (1, 9))
        peer.send(control_request([]))
        assert peer.frame(FrameType.OK)[0] is FrameType.OK


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("frame_type", [FrameType.HELLO, FrameType.REQUEST, FrameType.HEARTBEAT])
@pytest.mark.parametrize("length", [1, 2**31, 2**32 - 1])
def test_a_frame_longer_than_its_limit_is_refused_at_its_head(
    group: RelayedGroup, kind: str, frame_type: FrameType, length: int
) -> None:
    with HostilePeer(getattr(group, kind).port) as peer:
        if frame_type is FrameType.REQUEST:
            peer.greet("status", "walbc")
        length = max(length, MAX_PAYLOAD_BYTES[frame_type] + 1)
        peer.send(head(frame_type, length))
        error = peer.error()
    assert "longer than its limit" in error, error
    check_serves(group, kind)


DAMAGED = {
    "head": (lambda: flipped(control_request([]), 9), "damaged head"),
    "payload": (lambda: flipped(control_request(["x" * 9]), 25), "damaged REQUEST frame"),
    "type": (lambda: head(999, 0), "unknown frame type 999"),
    "flags": (lambda: head(FrameType.REQUEST, 0, flags=4), "unknown flags"),
    "unexpected": (lambda: encode(FrameType.DATA, b"x"), "unexpected DATA frame"),
    "trailing": (lambda: encode(FrameType.REQUEST, bytes(9) + b"trailing"), "request from"),
    "list": (lambda: encode(FrameType.REQUEST, b"\0" + b"\xff" * 9 + b"\x01"), "request from"),
    "empty": (lambda: encode(FrameType.REQUEST, b""), "request from"),
}


def flipped(data: bytes, at: int) -> bytes:
    """The bytes with one bit changed."""
    return data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_frame_fails_its_conversation_only(group: RelayedGroup, kind: str, damage: str) -> None:
    make, reason = DAMAGED[damage]
    with HostilePeer(getattr(group, kind).port) as peer:
        peer.greet("status", "walbc")
        peer.send(make())
        error = peer.error()
    assert reason in error, error
    check_serves(group, kind)


@pytest.mark.parametrize("kind", SERVERS)
def test_random_bytes_after_a_good_greeting_end_one_conversation(group: RelayedGroup, kind: str) -> None:
    rng = random.Random(11)
    for _ in range(200 if IS_LONG else 10):
        data = control_request(["vol0"])
        at = rng.randrange(len(data))
        with HostilePeer(getattr(group, kind).port) as peer:
            peer.greet("status", "walbc")
            peer.send(flipped(data, at) + rng.randbytes(rng.randrange(50)))
            peer.half_close()
            peer.rest()
    check_serves(group, kind)


@pytest.mark.parametrize("kind", SERVERS)
def test_a_peer_that_hangs_up_at_any_byte_is_no_harm(group: RelayedGroup, kind: str) -> None:
    talk = hello("status", "walbc") + control_request([])
    for count in range(0, len(talk), 1 if IS_LONG else 7):
        with HostilePeer(getattr(group, kind).port) as peer:
            peer.send(talk[:count])
    check_serves(group, kind)


@pytest.mark.parametrize("kind", SERVERS)
def test_an_unknown_command_is_refused_by_name(group: RelayedGroup, kind: str) -> None:
    with HostilePeer(getattr(group, kind).port) as peer:
        peer.send(hello("make-coffee", "walbc"))
        assert "make-coffee" in peer.error()


@pytest.mark.parametrize("kind", SERVERS)
def test_many_silent_peers_do_not_keep_commands_out(group: RelayedGroup, kind: str) -> None:
    sockets = [socket.create_connection((HOST, getattr(group, kind).port)) for _ in range(40)]
    try:
        check_serves(group, kind)
    finally:
        for sock in sockets:
            sock.close()


def test_log_lines_are_one_line_whatever_a_peer_calls_itself(group: RelayedGroup) -> None:
    for node_id in ("a\nb", "\x1b[2Jx", "x\r2026-01-01 00:00:00.000 ERROR forged"):
        for server in group.servers:
            with HostilePeer(server.port) as peer:
                peer.send(hello("status", "walbc", node_id=node_id))
                assert "bad node id" in peer.error()
            log = group.log_of(server)
            assert "\x1b" not in log and "\r" not in log
    group.check_logs()


def test_an_archive_that_is_a_web_server_fails_the_backup_in_one_line(volume: BackedUpVolume) -> None:
    group = volume.group
    listener = socket.create_server((HOST, 0))

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                client.recv(100)
                client.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")

    threading.Thread(target=serve, daemon=True).start()
    try:
        group.to_archive.target_port = listener.getsockname()[1]
        assert "HTTP" in group.ask(group.storage, "full-bkp", volume.name, "--wait").error
        assert group.state(group.storage, volume.name) == "SyncReady"
    finally:
        group.to_archive.target_port = group.archive_port
        listener.close()
    volume.write(64 << 10)
    volume.back_up()
    volume.snapshot()
    volume.check_snapshots()


@pytest.mark.parametrize("kind", ["proxy", "storage"])
def test_an_archive_that_is_another_server_refuses_the_backup(volume: BackedUpVolume, kind: str) -> None:
    group = volume.group
    group.to_archive.target_port = getattr(group, kind).port
    try:
        error = group.ask(group.storage, "full-bkp", volume.name, "--wait").error
        assert f"walb-{kind} has no such command" in error, error
    finally:
        group.to_archive.target_port = group.archive_port
    assert group.state(group.storage, volume.name) == "SyncReady"
