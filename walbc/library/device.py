"""Walb devices as scripts handle them (python-library.md section 6): everything goes through the wdevc program of the
device's host."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Iterator

from walbc.library.constants import TIMEOUT_SEC, Lbs, Mebi
from walbc.library.failure import ControlError
from walbc.library.local import RunCommand, run_local_command, run_shell
from walbc.library.verify import verify_function, verify_type, verify_u64

DEVICE_FOLDER = "/dev/walb/"
_DRIVER_NODE = f"{DEVICE_FOLDER}control"
_LOG_POLL_SEC = 0.3
_RESET_HINT = "reset the log first, or wait until storage and proxy have taken it"


class Device:
    """A walb device: its name, log and data device, the path of wdevc at its host, and how to run programs there.

    Where the host has the kernel driver, it is the driver's; everywhere else a user-space device (docs/device.md).
    `user` decides that by hand. `socketDir` is the folder of a user-space device's sockets, else that host's default.
    A device must not exist for `format_ldev` and `create`, and must for everything else but `exists`.
    """

    def __init__(
        self,
        name: str | int | None = None,
        ldev: str = "",
        ddev: str = "",
        wdevcPath: str = "",
        runCommand: RunCommand = run_local_command,
        *,
        iD: int | str | None = None,
        user: bool | None = None,
        socketDir: str | None = None,
    ) -> None:
        given = iD if name is None else name
        verify_type(given, [str, int])
        for path in (ldev, ddev, wdevcPath):
            verify_type(path, str)
        verify_function(runCommand)
        self.iD = given
        self.name = str(given)
        self.ldev = ldev
        self.ddev = ddev
        self.wdevcPath = wdevcPath
        self.runCommand = runCommand
        self._is_user = user
        self._socket_dir = socketDir

    @property
    def path(self) -> str:
        """`/dev/walb/NAME`, by which servers know it too."""
        return DEVICE_FOLDER + self.name

    def __str__(self) -> str:
        return ", ".join([self.name, self.ldev, self.ddev, self.wdevcPath])

    def __repr__(self) -> str:
        return f"Device({self})"

    @property
    def is_user(self) -> bool:
        """Whether it is a user-space device; the host is asked once."""
        if self._is_user is None:
            answer = run_shell(f"if [ -e {_DRIVER_NODE} ]; then echo 1; else echo 0; fi", self.runCommand)
            self._is_user = answer.strip() != "1"
        return self._is_user

    def run_wdevc(self, cmdArgs: list[str]) -> str:
        """Runs `wdevc ARGS` at the device's host; returns its stdout."""
        verify_type(cmdArgs, list, str)
        return self.runCommand([self.wdevcPath, *cmdArgs])

    def _on_device(self, command: str, *words: str) -> str:
        return self.run_wdevc([command, self.path, *words, *self._socket_option()])

    def _socket_option(self) -> list[str]:
        return ["-s", self._socket_dir] if self._socket_dir else []

    def exists(self) -> bool:
        """Whether it runs: there is a block device at its path, or its server answers."""
        listing = " ".join(map(shlex.quote, [self.wdevcPath, "list", *self._socket_option()]))
        pattern = shlex.quote(f" walb/{re.escape(self.name)}$")
        script = (
            f"if [ -b {shlex.quote(self.path)} ]; then echo 1; "
            f"elif {listing} 2>/dev/null | grep -q {pattern}; then echo 1; else echo 0; fi"
        )
        return run_shell(script, self.runCommand).strip() == "1"

    def format_ldev(self, doDiscard: bool = True) -> None:
        """Makes an empty log on the log device. The data device is left as it is."""
        verify_type(doDiscard, bool)
        self.run_wdevc(["format-ldev", self.ldev, self.ddev, *([] if doDiscard else ["-nd"])])

    def create(
        self,
        maxl: int | None = None,
        maxp: int | None = None,
        minp: int | None = None,
        qp: int | None = None,
        fs: int | None = None,
        fp: int | None = None,
        bp: int | None = None,
        bi: int | None = None,
    ) -> None:
        """Starts the device. The parameters are those of the kernel driver (`wdevc create-wdev -h`); None and 0 mean
        its default."""
        given = {"maxl": maxl, "maxp": maxp, "minp": minp, "qp": qp, "fs": fs, "fp": fp, "bp": bp, "bi": bi}
        words = [word for option in given.items() for word in _option(*option)]
        kind = ["-user", *self._socket_option()] if self.is_user else []
        self.run_wdevc(["create-wdev", self.ldev, self.ddev, "-n", self.name, *kind, *words])

    def delete(self) -> None:
        """Stops the device cleanly; its devices keep log and data."""
        self._on_device("delete-wdev")

    def resize(self, newSizeMb: int) -> None:
        """Grows it to a size in MiB. Of a device in use by a volume the volume is resized instead, everywhere."""
        verify_u64(newSizeMb)
        self._on_device("resize", str(newSizeMb * Mebi // Lbs))

    def reset(self) -> None:
        """Throws its log away and clears an overflow; completed writes are kept."""
        self._on_device("reset-wal")

    def get_size_lb(self) -> int:
        """Size in blocks of 512 bytes."""
        if self.is_user:
            return int(self._on_device("get-size"))
        return int(self._read_sysfs(self.name, "size"))

    def get_size_mb(self) -> int:
        """Size in MiB. Raises ControlError if that is not whole."""
        size_bytes = self.get_size_lb() * Lbs
        if size_bytes % Mebi:
            raise ControlError("get_size_mb: not multiple of MiB.", size_bytes)
        return size_bytes // Mebi

    def get_log_size_lb(self) -> int:
        """Size of its log device in blocks of 512 bytes."""
        if self.is_user:
            return int(self._on_device("get-log-size"))
        return int(self._read_sysfs(f"L{self.name}", "size"))

    def wait_for_log_empty(self, timeoutS: int = TIMEOUT_SEC) -> None:
        """Returns when all log has been shipped and given free. Raises ControlError after timeoutS."""
        verify_u64(timeoutS)
        end = time.monotonic() + timeoutS
        while True:
            oldest, completed = self._log_ends()
            if oldest == completed:
                return
            print("wait_for_log_empty", oldest, completed)
            if time.monotonic() >= end:
                raise ControlError("wait_for_log_empty", self.path, _RESET_HINT)
            time.sleep(_LOG_POLL_SEC)

    def _log_ends(self) -> tuple[int, int]:
        """(oldest, completed) lsid."""
        if self.is_user:
            return int(self._on_device("get-oldest-lsid")), int(self._on_device("get-completed-lsid"))
        lines = self._read_sysfs(self.name, "walb/lsids").splitlines()
        lsids = dict(line.split() for line in lines if line.strip())
        return int(lsids["oldest"]), int(lsids["completed"])

    def _read_sysfs(self, node: str, file: str) -> str:
        return self.runCommand(["/bin/cat", f"/sys/block/walb!{node}/{file}"])


def _option(name: str, value: int | None) -> Iterator[str]:
    verify_u64(value, allowNone=True)
    if value:
        yield from (f"-{name}", str(value))


def device_name(path: str) -> str:
    """The name of the device that NAME, /dev/walb/NAME or a control socket stand for."""
    return path.rsplit("/", 1)[-1].removesuffix(".ctl")
