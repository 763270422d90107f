"""What each command of wdevc does. A command returns the lines it prints."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from walbd.device.control import CONTROL_SUFFIX, DEFAULT_SOCKET_DIR
from walbd.device.create import create_kernel_device, create_user_device, list_kernel_devices
from walbd.device.device import AdministeredDevice, LsidSet
from walbd.device.formatting import format_pair
from walbd.device.kernel_ioctl import StartParameters
from walbd.device.resolve import resolve_device
from walbd.device.user_device import UserDevice
from walbd.device.wdevc_attach import DEFAULT_DEAD_SEC, DEFAULT_TIMEOUT_SEC, attach, detach
from walbd.model.error import InvalidArgument, WalbError
from walbd.model.limits import LB_BYTES
from walbd.wlog.super_sector import device_size_bytes
from walbd.world.command_line import Arguments, Option, parse_number

SOCKET_DIR_VARIABLE = "WALB_SOCKET_DIR"
CLEAR_POLL_SEC = 0.5
# That of the kernel driver whose commands and formats these are.
INTERFACE_VERSION = "1.5.1"
Lines = Iterable[str]
Run = Callable[[Arguments], Coroutine[Any, Any, Lines]]


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its words and options, and what it does."""

    name: str
    usage: str
    text: str
    run: Run
    options: tuple[Option, ...]
    min_words: int
    max_words: int

    @property
    def form(self) -> str:
        """How it is written."""
        return f"{self.name} {self.usage}".rstrip()


def socket_dir_of(arguments: Arguments) -> Path:
    """-s, else the environment, else the default."""
    given = arguments.values.get("s") or os.environ.get(SOCKET_DIR_VARIABLE) or DEFAULT_SOCKET_DIR
    return Path(given)


SOCKET_DIR = Option("s", "DIR", f"folder of the sockets; else ${SOCKET_DIR_VARIABLE}, else {DEFAULT_SOCKET_DIR}")


def _on_device(action: Callable[[AdministeredDevice, Arguments], Awaitable[Lines]]) -> Run:
    """A command on the device its first word names."""

    async def run(arguments: Arguments) -> Lines:
        device = resolve_device(arguments.positional[0], socket_dir_of(arguments))
        try:
            return await action(device, arguments)
        finally:
            await device.close()

    return run


def _number(arguments: Arguments, index: int, default: int = 0) -> int:
    return parse_number(arguments.positional[index]) if index < len(arguments.positional) else default


def _lsid(pick: Callable[[LsidSet], int]) -> Run:
    async def action(device: AdministeredDevice, arguments: Arguments) -> Lines:
        return [str(pick(await device.lsids()))]

    return _on_device(action)


# ---- commands on a device ----


async def _log_usage(device: AdministeredDevice, arguments: Arguments) -> Lines:
    return [str((await device.info()).log_usage_pb)]


async def _log_capacity(device: AdministeredDevice, arguments: Arguments) -> Lines:
    return [str((await device.info()).ring_size_pb)]


async def _size(device: AdministeredDevice, arguments: Arguments) -> Lines:
    return [str((await device.info()).size_lb)]


async def _log_size(device: AdministeredDevice, arguments: Arguments) -> Lines:
    await device.info()  # from here on the device below is known
    fd = device.open_log()
    try:
        return [str(device_size_bytes(fd) // LB_BYTES)]
    finally:
        os.close(fd)


async def _is_overflow(device: AdministeredDevice, arguments: Arguments) -> Lines:
    return [str(int((await device.info()).is_overflow))]


async def _is_frozen(device: AdministeredDevice, arguments: Arguments) -> Lines:
    return [str(int(await device.is_frozen()))]


async def _is_flush_capable(device: AdministeredDevice, arguments: Arguments) -> Lines:
    return [str(int(await device.is_flush_capable()))]


async def _set_oldest(device: AdministeredDevice, arguments: Arguments) -> Lines:
    await device.set_oldest(_number(arguments, 1))
    return []


async def _reset_wal(device: AdministeredDevice, arguments: Arguments) -> Lines:
    await device.reset_wal()
    return []


async def _checkpoint(device: AdministeredDevice, arguments: Arguments) -> Lines:
    await device.take_checkpoint()
    return []


async def _set_interval(device: AdministeredDevice, arguments: Arguments) -> Lines:
    await device.set_checkpoint_interval_ms(_number(arguments, 1))
    return []


async def _get_interval(device: AdministeredDevice, arguments: Arguments) -> Lines:
    return [str(await device.checkpoint_interval_ms())]


async def _freeze(device: AdministeredDevice, arguments: Arguments) -> Lines:
    await device.freeze(_number(arguments, 1))
    return []


async def _melt(device: AdministeredDevice, arguments: Arguments) -> Lines:
    await device.melt()
    return []


async def _resize(device: AdministeredDevice, arguments: Arguments) -> Lines:
    await device.resize(_number(arguments, 1))
    return []


async def _delete(device: AdministeredDevice, arguments: Arguments) -> Lines:
    await device.delete("f" in arguments)
    return []


async def _clear_wal(device: AdministeredDevice, arguments: Arguments) -> Lines:
    """Checkpoint, then give the whole log free that was permanent at the beginning (wdev.md section 12)."""
    timeout_sec = _number(arguments, 1)
    lsids = await device.lsids()
    permanent = lsids.permanent
    waited_sec = 0.0
    while lsids.written < permanent:
        if timeout_sec and waited_sec >= timeout_sec:
            raise WalbError(f"timeout: {arguments.positional[0]}: lsid {permanent} is not on the data device yet")
        lsids = await device.wait(lsids, CLEAR_POLL_SEC)
        waited_sec += CLEAR_POLL_SEC
    await device.take_checkpoint()
    await device.set_oldest(permanent)
    return []


async def _attach(arguments: Arguments) -> Lines:
    spec, *node = arguments.positional
    timeout_sec, dead_sec = parse_number(arguments.get("timeout")), parse_number(arguments.get("dead"))
    return [await attach(spec, socket_dir_of(arguments), node[0] if node else None, timeout_sec, dead_sec)]


async def _detach(arguments: Arguments) -> Lines:
    await detach(arguments.positional[0], socket_dir_of(arguments), "f" in arguments)
    return []


# ---- commands without a running device ----


async def _format(arguments: Arguments) -> Lines:
    ldev, ddev = arguments.positional
    pbs = parse_number(arguments.get("pbs")) if "pbs" in arguments else None
    return format_pair(ldev, ddev, arguments.values.get("n", ""), pbs, is_discarded="nd" not in arguments)


async def _create(arguments: Arguments) -> Lines:
    ldev, ddev = arguments.positional
    name = arguments.values.get("n", "")
    if "user" in arguments:
        return await create_user_device(ldev, ddev, name, socket_dir_of(arguments))
    numbers = [parse_number(arguments.get(option.name)) for option in START_OPTIONS]
    maxl, maxp, minp, qp, fs, fp, bp, bi = numbers
    parameters = StartParameters(name, maxp, minp, qp, maxl, fp, fs, bp, bi)
    if not parameters.is_valid():
        raise InvalidArgument("invalid start param.")
    return await create_kernel_device(ldev, ddev, parameters)


async def _list(arguments: Arguments) -> Lines:
    lines = [f"{major} {minor} {name}" for name, major, minor in list_kernel_devices()]
    for path in sorted(socket_dir_of(arguments).glob(f"*{CONTROL_SUFFIX}")):
        device = UserDevice(path)
        try:
            major, minor = await device.numbers()
            lines.append(f"{major} {minor} walb/{(await device.info()).name}")
        except WalbError:
            continue  # the socket of a dead server
        finally:
            await device.close()
    return lines


async def _version(arguments: Arguments) -> Lines:
    return [INTERFACE_VERSION]


START_OPTIONS = (
    Option("maxl", "KIB", "largest log pack", "32"),
    Option("maxp", "MIB", "most data pending", "32"),
    Option("minp", "MIB", "data pending when held back writes go on", "16"),
    Option("qp", "MS", "longest time writes are held back", "100"),
    Option("fs", "MIB", "log between two flushes of its device", "16"),
    Option("fp", "MS", "time between two flushes of the log device", "100"),
    Option("bp", "N", "packs at once", "128"),
    Option("bi", "N", "I/Os at once", "1024"),
)
ATTACH_OPTIONS = (
    Option("timeout", "SEC", "what is not answered is sent again after this", str(DEFAULT_TIMEOUT_SEC)),
    Option("dead", "SEC", "I/O waits so long for a server, then it fails", str(DEFAULT_DEAD_SEC)),
)
NAME = Option("n", "NAME", "name of the device")


def _commands() -> Iterable[Command]:
    def on_device(name: str, text: str, run: Run, words: str = "", options: tuple[Option, ...] = ()) -> Command:
        optional, required = words.startswith("["), bool(words) and not words.startswith("[")
        usage = " ".join(
            ["WDEV", *([words] if words else []), *(f"[-{option.name}]" for option in options), "[-s DIR]"]
        )
        return Command(name, usage, text, run, (*options, SOCKET_DIR), 1 + required, 1 + required + optional)

    yield Command(
        "format-ldev",
        "LDEV DDEV [-n NAME] [-nd] [-pbs BYTES]",
        "makes an empty log for a data device",
        _format,
        (
            NAME,
            Option("nd", "", "do not discard the log device first"),
            Option("pbs", "BYTES", "physical block size, for plain files only"),
        ),
        2,
        2,
    )
    yield Command(
        "create-wdev",
        "LDEV DDEV [-n NAME] [-user [-s DIR]] [options of the kernel driver]",
        "starts a device: of the kernel driver, or with -user a walb-device process",
        _create,
        (NAME, Option("user", "", "a user-space device"), SOCKET_DIR, *START_OPTIONS),
        2,
        2,
    )
    forced = (Option("f", "", "even when it is in use"),)
    yield on_device("delete-wdev", "stops a device cleanly", _on_device(_delete), options=forced)
    yield Command(
        "attach",
        "WDEV [/dev/nbdN] [-timeout SEC] [-dead SEC] [-s DIR]",
        "makes a user-space device a block device of the kernel, /dev/walb/NAME; prints its /dev/nbdN",
        _attach,
        (*ATTACH_OPTIONS, SOCKET_DIR),
        1,
        2,
    )
    yield on_device(
        "detach", "takes the device away from the kernel, also when its server is dead", _detach, options=forced
    )
    yield Command(
        "list",
        "[-s DIR]",
        "lists the devices: major and minor number (0 0 unless attached) and name",
        _list,
        (SOCKET_DIR,),
        0,
        0,
    )
    yield on_device(
        "set-checkpoint-interval",
        "sets the time between checkpoints; 0 turns them off",
        _on_device(_set_interval),
        "MS",
    )
    yield on_device("get-checkpoint-interval", "prints the time between checkpoints in ms", _on_device(_get_interval))
    yield on_device("force-checkpoint", "takes a checkpoint now", _on_device(_checkpoint))
    yield on_device("set-oldest-lsid", "gives the log before LSID free", _on_device(_set_oldest), "LSID")
    yield on_device("get-oldest-lsid", "prints where the log kept begins", _lsid(lambda lsids: lsids.oldest))
    yield on_device(
        "get-written-lsid", "prints up to where the log is on the data device", _lsid(lambda lsids: lsids.written)
    )
    yield on_device("get-permanent-lsid", "prints up to where the log is durable", _lsid(lambda lsids: lsids.permanent))
    yield on_device(
        "get-completed-lsid", "prints up to where writes are acknowledged", _lsid(lambda lsids: lsids.completed)
    )
    yield on_device("get-log-usage", "prints the physical blocks of log kept", _on_device(_log_usage))
    yield on_device("get-log-capacity", "prints the physical blocks the ring has", _on_device(_log_capacity))
    yield on_device("get-size", "prints the size in blocks of 512 bytes", _on_device(_size))
    yield on_device("get-log-size", "prints the size of its log device in blocks of 512 bytes", _on_device(_log_size))
    yield on_device("is-flush-capable", "prints 1 if it knows flushes, else 0", _on_device(_is_flush_capable))
    yield on_device(
        "is-log-overflow", "prints 1 if log was overwritten that was not shipped, else 0", _on_device(_is_overflow)
    )
    yield on_device("is-flozen", "the old spelling of is-frozen", _on_device(_is_frozen))
    yield on_device("is-frozen", "prints 1 if writes are held back, else 0", _on_device(_is_frozen))
    yield on_device("resize", "grows the device; 0: to the size of its data device", _on_device(_resize), "[LB]")
    yield on_device("reset-wal", "throws the log away, and the overflow mark", _on_device(_reset_wal))
    yield on_device(
        "clear-wal",
        "gives the present log free once it is on the data device; waits SEC seconds, or for ever",
        _on_device(_clear_wal),
        "[SEC]",
    )
    yield on_device("freeze", "holds writes back, for SEC seconds or until melt", _on_device(_freeze), "[SEC]")
    yield on_device("melt", "lets writes go on", _on_device(_melt))
    yield Command("get-version", "", "prints the version of the driver interface", _version, (), 0, 0)


COMMANDS = {command.name: command for command in _commands()}
