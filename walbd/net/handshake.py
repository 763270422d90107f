"""Handshake, without I/O: what each side says and how it judges the other (docs/protocol.md, "Handshake").

The client's HELLO names its version range, itself, the command and the authentication methods it can use; the server
answers WELCOME with the highest common version and the chosen method, or ERROR.
"""

from __future__ import annotations

from dataclasses import dataclass

from walbd.model.error import ProtocolViolation, Refused
from walbd.model.varint import Encoder
from walbd.net.frame import SPEAKS_HTTP, SPEAKS_WALB_TOOLS, ForeignProtocol, describe_foreign
from walbd.net.messages import Hello, Welcome

VERSION_MIN = 1
VERSION_MAX = 1
# Methods, best first. One that needs rounds of its own (mutual TLS) runs them right after WELCOME.
METHODS = ("none",)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a program says it is."""

    node_id: str
    kind: str


def hello(me: Identity, command: str) -> Hello:
    """The client's greeting."""
    return Hello(VERSION_MIN, VERSION_MAX, me.node_id, me.kind, command, METHODS)


def judge_hello(me: Identity, peer: Hello, methods: tuple[str, ...] = METHODS) -> Welcome:
    """The server's answer; raises Refused naming both sides' versions or methods when they have none in common."""
    version = min(peer.version_max, VERSION_MAX)
    if version < max(peer.version_min, VERSION_MIN):
        raise Refused(
            f"no common protocol version: client {peer.node_id} speaks {_range(peer.version_min, peer.version_max)}, "
            f"server {me.node_id} speaks {_range(VERSION_MIN, VERSION_MAX)}",
            "update the older of both",
        )
    method = next((method for method in methods if method in peer.methods), None)
    if method is None:
        raise Refused(
            f"no common authentication method: client {peer.node_id} offers {' '.join(peer.methods)}, "
            f"server {me.node_id} accepts {' '.join(methods)}"
        )
    return Welcome(version, me.node_id, me.kind, method)


def judge_welcome(sent: Hello, answer: Welcome) -> None:
    """The client's check that the server chose from what was offered; raises ProtocolViolation."""
    if not sent.version_min <= answer.version <= sent.version_max or answer.method not in sent.methods:
        raise ProtocolViolation(
            f"server {answer.node_id} chose version {answer.version} and authentication {answer.method}, "
            f"which were not offered"
        )


def answer_to_foreign(me: Identity, error: ForeignProtocol) -> bytes:
    """One line for a peer that speaks something else, in a form it can show."""
    spoken = describe_foreign(error.first)
    text = f"this is walb-{me.kind} {me.node_id}; the peer does not speak the WalB protocol: {spoken}"
    if spoken == SPEAKS_WALB_TOOLS:
        # The handshake there reads two strings: the server's id, then `ok` or an error text.
        return Encoder().string(me.node_id).string(text).bytes()
    if spoken == SPEAKS_HTTP:
        return f"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\n\r\n{text}\n".encode()
    return f"{text}\n".encode(errors="replace")


def _range(low: int, high: int) -> str:
    return f"{low}" if low == high else f"{low} to {high}"
