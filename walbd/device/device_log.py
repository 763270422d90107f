"""SOCKET_DIR/NAME.log: the messages of a device server that was started detached."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from walbd.model.error import StorageFailure

MAX_MESSAGE_BYTES = 4096


class DeviceLog:
    """The log of one start, opened for appending; a context manager that closes it."""

    def __init__(self, socket_dir: Path, name: str) -> None:
        """Makes the folder if need be. Raises StorageFailure."""
        self._path = socket_dir / f"{name}.log"
        try:
            socket_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
            self.file = open(self._path, "ab")  # noqa: SIM115
        except OSError as error:
            hint = "name a folder of yours with -s"
            raise StorageFailure(f"cannot write {self._path}: {error.strerror}", hint) from error
        self._begin = self.file.tell()

    def last_message(self) -> str:
        """The last line written since this start."""
        with open(self._path, errors="replace") as log:
            log.seek(self._begin)
            lines = log.read(MAX_MESSAGE_BYTES).strip().splitlines()
        return lines[-1] if lines else "no message"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.file.close()
