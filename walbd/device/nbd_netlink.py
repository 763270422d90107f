"""Talks to the kernel's NBD client over generic netlink (family `nbd`, version 1).

A program of its own, `python -m walbd.device.nbd_netlink REQUEST [SOCKET_FD]`: pyroute2 takes more memory than a whole
device server, and is needed for a moment only. The request is a JSON object, the answer on stdout one as on the control
socket. The kernel does not negotiate: the socket must be in the transmission phase.
"""

from __future__ import annotations

import errno
import sys
from typing import Any

from walbd.device.control import Json, decode_line, encode_line, error_answer
from walbd.model.error import BadState, NotFound, StorageFailure, WalbError

CONNECT, DISCONNECT, RECONFIGURE = 1, 2, 3
NODE_PREFIX = "/dev/nbd"


def call(request: Json, socket_fd: int | None) -> Json:
    """Sends one command: `command`, and `index`, `size_bytes`, `block_size_bytes`, `timeout`, `server_flags`,
    `dead_conn_timeout` (seconds both), `backend_identifier` as needed. Returns the index. Raises NotFound (no pyroute2,
    no nbd module), BadState (in use, not connected) and StorageFailure."""
    try:
        from pyroute2.netlink import NLM_F_ACK, NLM_F_REQUEST, genlmsg, nla
        from pyroute2.netlink.exceptions import NetlinkError
        from pyroute2.netlink.generic import GenericNetlinkSocket
    except ImportError as error:
        raise NotFound("the Python package pyroute2 is not installed", "pip install 'pyroute2>=0.7.12'") from error

    class Item(nla):  # type: ignore[misc]
        nla_map = (("NBD_SOCK_UNSPEC", "none"), ("NBD_SOCK_FD", "uint32"))

    class Sockets(nla):  # type: ignore[misc]
        nla_map = (("NBD_SOCK_ITEM_UNSPEC", "none"), ("NBD_SOCK_ITEM", "item"))
        item = Item

    class Message(genlmsg):  # type: ignore[misc]
        nla_map = (
            ("NBD_ATTR_UNSPEC", "none"),
            ("NBD_ATTR_INDEX", "uint32"),
            ("NBD_ATTR_SIZE_BYTES", "uint64"),
            ("NBD_ATTR_BLOCK_SIZE_BYTES", "uint64"),
            ("NBD_ATTR_TIMEOUT", "uint64"),
            ("NBD_ATTR_SERVER_FLAGS", "uint64"),
            ("NBD_ATTR_CLIENT_FLAGS", "uint64"),
            ("NBD_ATTR_SOCKETS", "sockets"),
            ("NBD_ATTR_DEAD_CONN_TIMEOUT", "uint64"),
            ("NBD_ATTR_DEVICE_LIST", "hex"),
            ("NBD_ATTR_BACKEND_IDENTIFIER", "asciiz"),
        )
        sockets = Sockets

    message = Message()
    message["cmd"], message["version"] = request["command"], 1
    attributes: list[Any] = [
        (f"NBD_ATTR_{key.upper()}", value) for key, value in request.items() if key != "command" and value is not None
    ]
    if socket_fd is not None:
        attributes.append(("NBD_ATTR_SOCKETS", {"attrs": [("NBD_SOCK_ITEM", {"attrs": [("NBD_SOCK_FD", socket_fd)]})]}))
    message["attrs"] = attributes
    netlink = GenericNetlinkSocket()
    try:
        try:
            netlink.bind("nbd", Message)
        except (NetlinkError, OSError) as error:
            raise NotFound("the kernel's NBD client is not there", "load its module: modprobe nbd") from error
        try:
            answers = list(netlink.nlm_request(message, netlink.prid, msg_flags=NLM_F_REQUEST | NLM_F_ACK))
        except NetlinkError as error:
            raise failure(request, int(error.code)) from error
    finally:
        netlink.close()
    indexes = [answer.get_attr("NBD_ATTR_INDEX") for answer in answers]
    return {"index": next((index for index in indexes if index is not None), request.get("index"))}


def failure(request: Json, code: int) -> WalbError:
    """What an error number of the kernel means."""
    index = request.get("index")
    node = f"{NODE_PREFIX}{index}" if index is not None else "an NBD device"
    if code == errno.EPERM:
        return StorageFailure(f"not allowed to use {node}", "run walb-device and wdevc as root")
    if code == errno.EBUSY:
        return BadState(f"{node} is in use", "name another one, or none for the first free one")
    if code == errno.EINVAL and request["command"] != CONNECT:
        return BadState(f"{node} is not connected as {request.get('backend_identifier', 'an NBD device')}")
    return StorageFailure(f"the kernel refused {node}: {errno.errorcode.get(code, code)}")


def main() -> int:
    """Entry point."""
    socket_fd = int(sys.argv[2]) if len(sys.argv) > 2 else None
    try:
        answer: Json = {"ok": call(decode_line(sys.argv[1].encode()), socket_fd)}
    except WalbError as error:
        answer = error_answer(error)
    sys.stdout.buffer.write(encode_line(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
