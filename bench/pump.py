"""What shipping is measured against: one program reads files and sends them over loopback TCP to another, each on a
connection of its own, which writes it to a file and syncs that. Nothing is checked or converted.

    python -m bench.pump SOURCE ... TARGET
"""

from __future__ import annotations

import os
import socket
import sys

CHUNK_BYTES = 1 << 20


def receive(listener: socket.socket, target: str) -> None:
    """Writes everything that arrives on the next connection."""
    connection, _ = listener.accept()
    buffer = memoryview(bytearray(CHUNK_BYTES))
    with connection, open(target, "wb", buffering=0) as file:
        while count := connection.recv_into(buffer):
            file.write(buffer[:count])
        os.fsync(file.fileno())
        connection.sendall(b"k")


def send(source: str, port: int) -> None:
    """Sends a file and waits until it is synced at the other side."""
    buffer = memoryview(bytearray(CHUNK_BYTES))
    with socket.create_connection(("127.0.0.1", port)) as connection, open(source, "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            connection.sendall(buffer[:count])
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)


def main() -> None:
    """Receiver in a child process, sender here."""
    *sources, target = sys.argv[1:]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        if os.fork() == 0:
            for _ in sources:
                receive(listener, target)
            os._exit(0)
        for source in sources:
            send(source, listener.getsockname()[1])
        os.wait()


if __name__ == "__main__":
    main()
