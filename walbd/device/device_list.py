"""Starting many devices: children forked from one process that has loaded everything share its memory, and each lives
on without it (docs/device.md)."""

from __future__ import annotations

import gc
import os
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from walbd.device.device_log import DeviceLog
from walbd.device.user.check import check_device
from walbd.device.user.run import run_device, server_options
from walbd.device.user.server import ServerOptions
from walbd.model.error import AlreadyExists, InvalidArgument, StorageFailure, WalbError
from walbd.world.command_line import Option, OptionError, parse_arguments

MAX_LIST_BYTES = 1 << 20
# What a child tells its parent.
SERVES, SERVED_ALREADY = b"s", b"a"


def read_device_list(path: Path, options: Sequence[Option]) -> list[ServerOptions]:
    """The devices of a file: the options of one on each line, `#` begins a comment. Relative paths count from the
    present folder. Raises InvalidArgument naming file and line, StorageFailure."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read(MAX_LIST_BYTES + 1)
    except OSError as error:
        raise StorageFailure(f"cannot read {path}: {error.strerror}") from error
    if len(text) > MAX_LIST_BYTES:
        raise InvalidArgument(f"{path} is no list of devices: it is longer than {MAX_LIST_BYTES} bytes")
    devices: dict[str, ServerOptions] = {}
    for number, line in enumerate(text.splitlines(), 1):
        try:
            words = shlex.split(line, comments=True)
            device = server_options(parse_arguments(words, options)) if words else None
        except (OptionError, ValueError) as error:
            raise InvalidArgument(f"{path}:{number}: {error}", "write -n NAME -ldev PATH -ddev PATH") from error
        except InvalidArgument as error:
            raise InvalidArgument(f"{path}:{number}: {error.message}", error.hint) from error
        if device is None:
            continue
        if device.name in devices:
            raise InvalidArgument(f"{path}:{number}: device {device.name} is there already")
        devices[device.name] = _absolute(device)
    return list(devices.values())


def _absolute(device: ServerOptions) -> ServerOptions:
    ldev, ddev = Path(device.ldev_path).absolute(), Path(device.ddev_path).absolute()
    return replace(device, ldev_path=str(ldev), ddev_path=str(ddev), socket_dir=device.socket_dir.absolute())


def start_devices(devices: Sequence[ServerOptions], tell: Callable[[str], None]) -> int:
    """Starts those that are not served yet, each in a session of its own with its messages in SOCKET_DIR/NAME.log, and
    tells of each when it serves or has failed. Returns the exit status: 0 when all serve. Call it in a process without
    threads."""
    # The children write to what the collector touches, and would get copies of it.
    gc.collect()
    gc.freeze()
    starting = [_Starting(device) for device in devices]
    outcomes = [one.outcome() for one in starting]
    for device, failure in zip(devices, outcomes, strict=True):
        tell(f"{device.name}: {failure or 'serving'}")
    return int(any(outcomes))


def check_devices(devices: Sequence[ServerOptions], tell: Callable[[str], None]) -> int:
    """Tells of each whether it could be served. Returns the exit status: 0 when all could."""
    status = 0
    for device in devices:
        try:
            tell(check_device(device))
        except WalbError as error:
            tell(f"{device.name}: error: {error}")
            status = 1
    return status


class _Starting:
    """A child on its way."""

    def __init__(self, device: ServerOptions) -> None:
        self._failure = ""
        try:
            self._log = DeviceLog(device.socket_dir, device.name)
        except StorageFailure as error:
            self._failure = f"error: {error}"
            return
        self._answer, answering = os.pipe()
        with self._log:
            if os.fork() == 0:
                os.close(self._answer)
                _become_server(device, self._log, answering)
        os.close(answering)

    def outcome(self) -> str:
        """Waits until the device serves: '', or fails: why."""
        if self._failure:
            return self._failure
        answer = os.read(self._answer, 1)
        os.close(self._answer)
        return "" if answer in (SERVES, SERVED_ALREADY) else self._log.last_message()


def _become_server(device: ServerOptions, log: DeviceLog, answering: int) -> None:
    """The child's life; it never returns."""
    status = 1
    try:
        os.setsid()
        os.chdir("/")
        nothing = os.open(os.devnull, os.O_RDONLY)
        for fd, source in ((0, nothing), (1, log.file.fileno()), (2, log.file.fileno())):
            os.dup2(source, fd)
        os.closerange(3, answering)
        os.closerange(answering + 1, os.sysconf("SC_OPEN_MAX"))

        def answer(word: bytes) -> None:
            os.write(answering, word)
            os.close(answering)

        try:
            status = run_device(device, lambda: answer(SERVES))
        except AlreadyExists:
            answer(SERVED_ALREADY)
        except WalbError as error:
            print(f"walb-device: error: {error}", file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)
