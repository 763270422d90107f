"""The foundation of a Controller: sending commands, and volumes named by their device."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

from walbc.console import error_text, log_line
from walbc.library.channel import CLIENT_ID, Channel, TcpChannel
from walbc.library.constants import K_STORAGE, TIMEOUT_SEC
from walbc.library.device import Device, device_name
from walbc.library.failure import CommandError, ControlError
from walbc.library.local import RunCommand, run_local_command
from walbc.library.servers import AnyServer, ServerLayout, ServerParams
from walbc.library.texts import to_str
from walbc.library.verify import verify_type, verify_u64
from walbd.model.error import WalbError

Volume: TypeAlias = str | Device
"""A volume's name; to a storage also the device of exactly one of its volumes."""

# Writes an image to a file or stdout, which is more than an answer.
_NEED_PROGRAM = ("virt-full-scan",)
_WDEV_KEY = "wdevPath "


class Connection:
    """Sends commands to the servers of a layout."""

    default_timeout_sec = TIMEOUT_SEC
    """Limit of waits whose caller gives none."""

    def __init__(self, controllerPath: str, sLayout: ServerLayout, isDebug: bool = False, timeoutS: int = 0) -> None:
        verify_type(controllerPath, str)
        verify_type(isDebug, bool)
        verify_u64(timeoutS)
        self.controllerPath = controllerPath
        self.set_server_layout(sLayout)
        self.isDebug = isDebug
        self.timeoutS = timeoutS
        self._channel: Channel = TcpChannel()
        self._monotonic: Callable[[], float] = time.monotonic
        self._sleep: Callable[[float], None] = time.sleep

    def __str__(self) -> str:
        return ", ".join([self.controllerPath, f"[{self.sLayout}]", str(self.isDebug)])

    def set_server_layout(self, sLayout: ServerLayout) -> None:
        """Changes the group this controller knows. No server is told."""
        verify_type(sLayout, ServerLayout)
        self.sLayout = sLayout

    def run_ctl(
        self, s: AnyServer, cmdArgs: Sequence[str], putMsg: bool = False, timeoutS: int = 0, quietErr: bool = False
    ) -> str:
        """Sends a walbc command to a server; returns its answer, lines joined and stripped.

        timeoutS: limit of connecting and of silence, 0 = the controller's, else 10 s. The reason of a failure goes to
        stderr unless quietErr. Raises CommandError."""
        verify_type(s, ServerParams)
        verify_type(cmdArgs, [list, tuple], str)
        argv = self._argv(s, cmdArgs, timeoutS)
        is_shown = putMsg or self.isDebug
        if cmdArgs and cmdArgs[0] in _NEED_PROGRAM:
            return run_local_command(argv, is_shown, quietErr)
        if is_shown:
            print("run_command:", to_str(argv))
        answer = self._ask(s, argv, cmdArgs, timeoutS, quietErr)
        if is_shown:
            print("run_command_result:", answer)
        return answer

    def _argv(self, s: AnyServer, cmdArgs: Sequence[str], timeoutS: int) -> list[str]:
        """The command line of walbc that does the same."""
        limit_sec = timeoutS or self.timeoutS
        options = ["-id", CLIENT_ID, "-a", s.address, "-p", str(s.port)]
        options += ["-debug"] if self.isDebug else []
        options += ["-to", str(limit_sec)] if limit_sec else []
        return [self.controllerPath, *options, *cmdArgs]

    def _ask(self, s: AnyServer, argv: list[str], cmdArgs: Sequence[str], timeoutS: int, quietErr: bool) -> str:
        if not cmdArgs:
            raise ControlError("run_ctl: no command", s.name)
        try:
            lines = self._channel.ask(s, cmdArgs[0], list(cmdArgs[1:]), timeoutS or self.timeoutS)
        except WalbError as error:
            reason = error_text(error)
            if not quietErr:
                sys.stderr.write(log_line("ERROR", f"error: {reason}"))
            raise CommandError(argv, 1, reason) from error
        return "\n".join(lines).strip()

    def _lines(self, s: AnyServer, *words: str) -> list[str]:
        answer = self.run_ctl(s, words)
        return answer.split("\n") if answer else []

    def run_remote_command(self, s: AnyServer, args: Sequence[str], putMsg: bool = False, timeoutS: int = 0) -> str:
        """Runs a program, by full path, at the server's host as the server's user; returns its stripped stdout. The
        server must allow that (`-allow-exec`). Raises CommandError."""
        verify_type(args, [list, tuple], str)
        return self.run_ctl(s, ["exec", *args], putMsg, timeoutS)

    def get_run_remote_command(self, s: AnyServer) -> RunCommand:
        """run_remote_command with the server fixed, for Device and others that take a RunCommand."""
        verify_type(s, ServerParams)

        def run_command(args: Sequence[str], putMsg: bool = False) -> str:
            return self.run_remote_command(s, args, putMsg)

        return run_command

    def _vol(self, s: AnyServer, vol: Volume) -> str:
        """The name of a volume; a Device stands for the volume of storage s that uses it."""
        verify_type(s, ServerParams)
        if not isinstance(vol, Device):
            verify_type(vol, str)
            return vol
        if s.kind != K_STORAGE:
            raise TypeError(f"vol must be the name of a volume: {s.name} has no walb devices, but {vol!r} was given")
        return self._volume_on(s, vol)

    def _volume_on(self, sx: AnyServer, device: Device) -> str:
        found = [vol for vol in self._lines(sx, "get", "vol") if self._device_of(sx, vol) == device.name]
        if len(found) != 1:
            there = f"volumes {' '.join(found)} use" if found else "no volume uses"
            raise ControlError(
                f"vol must be the name of a volume: at {sx.name} {there} walb device {device.name}", sx.name, found
            )
        return found[0]

    def _device_of(self, sx: AnyServer, vol: str) -> str:
        """The name of a volume's walb device."""
        for line in self._lines(sx, "status", vol):
            if line.startswith(_WDEV_KEY):
                return device_name(line.removeprefix(_WDEV_KEY))
        return ""
