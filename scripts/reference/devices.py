"""The pages of walb-device and wdevc, made from their options and commands."""

from __future__ import annotations

from collections.abc import Iterator

from scripts.reference import markdown
from scripts.reference.markdown import block, code, options_table, see_also, table
from walbd.device.control import DEFAULT_SOCKET_DIR
from walbd.device.main import EVERY_OPTION, SYNOPSES
from walbd.device.wdevc import SYNOPSIS
from walbd.device.wdevc_commands import COMMANDS, SOCKET_DIR_VARIABLE
from walbd.world.command_line import HELP, Option

_FEW = 2

_DEVICE = """
A walb device is a block device with a log: every write goes to the log device first, then to the data device.
`walb-device` serves one over NBD, on a Unix socket, as an ordinary process without a kernel module. The formats are
those of the kernel driver, so that a pair of devices can move between both. After a crash it redoes the log before
it serves.

    wdevc format-ldev LDEV DDEV -n NAME        makes an empty log
    walb-device -n NAME -ldev LDEV -ddev DDEV  serves the device
    wdevc attach NAME                          makes it /dev/walb/NAME
    wdevc delete-wdev NAME                     stops it cleanly

`wdevc create-wdev LDEV DDEV -user` starts it detached, `walb-device -list FILE` many at once; see
[walb-devices](walb-devices.md). A list names of each device, as it starts, whether it serves or why it does not; run
again, it starts those that are missing.

`SIGTERM`, `SIGINT` and `SIGQUIT` stop it cleanly; `SIGHUP` is ignored.
"""
_DEVICE_STATUSES = (
    ("0", "`-h`; stopped cleanly; with `-list`: all devices serve; `--check`: could be served"),
    ("1", "anything else: the reason is one line on standard error; I/O on the log or data device has failed"),
)
_WDEVC = """
Formats the log of walb devices, starts, stops and asks them, those of `walb-device` and those of the kernel driver
alike. WDEV is NAME, `/dev/walb/NAME` or the path of a control socket `NAME.ctl`. `wdevc COMMAND -h` shows the options
of a command. Numbers are decimal, perhaps with `k m g` (powers of 1000) or `K M G` (powers of 1024) at the end, or `0x`
and hexadecimal digits.
"""
_WDEVC_STATUSES = (("0", "done; `-h`"), ("1", "anything else"), ("130", "Ctrl-C"))
_WDEVC_ERRORS = """
An error is one line on standard error: `YYYY-MM-DD hh:mm:ss.mmm ERROR wdevc:TEXT`, in UTC, or, when the command line is
not well formed, `OptionError:REASON (hint: WHAT TO DO)`.
"""


def pages() -> list[str]:
    """Both pages."""
    return [_device(), _wdevc()]


def _device() -> str:
    sections = {
        "Synopsis": block(*SYNOPSES),
        "Description": _DEVICE,
        "Options": options_table(EVERY_OPTION),
        "Exit status": table(("Status", "Meaning"), _DEVICE_STATUSES),
        "Files": _files(),
        "See also": see_also("walb", "wdevc", "walb-devices", "walb-storage"),
    }
    return markdown.page("walb-device(1): serves a walb device without a kernel driver", sections)


def _wdevc() -> str:
    variable = (
        code(SOCKET_DIR_VARIABLE),
        f"folder of the sockets, unless `-s` names it; default `{DEFAULT_SOCKET_DIR}`",
    )
    sections = {
        "Synopsis": block(SYNOPSIS),
        "Description": _WDEVC,
        "Commands": table(("Command", "Meaning"), _commands()),
        "Options": _options(),
        "Exit status": f"{table(('Status', 'Meaning'), _WDEVC_STATUSES)}\n{_WDEVC_ERRORS}",
        "Environment": table(("Variable", "Meaning"), [variable]),
        "Files": _files(),
        "See also": see_also("walb", "walb-device", "walb-storage", "wldev-info"),
    }
    return markdown.page("wdevc(1): controls walb devices", sections)


def _commands() -> Iterator[tuple[str, str]]:
    yield from ((code(command.form), command.text) for command in COMMANDS.values())


def _options() -> str:
    """Every option once, with the commands it is for, where those are few."""
    users: dict[Option, list[str]] = {HELP: []}
    for command in COMMANDS.values():
        for option in command.options:
            users.setdefault(option, []).append(command.name)
    rows = []
    for option, names in users.items():
        only = f"; for {' and '.join(names)}" if 0 < len(names) <= _FEW else ""
        rows.append((code(option.form), f"{option.explanation}{only}"))
    return table(("Option", "Meaning"), rows)


def _files() -> str:
    rows = (
        ("`NAME.nbd`", "socket of the block device: NBD"),
        ("`NAME.ctl`", "socket of the control commands"),
        ("`NAME.log`", "messages of a device that was started detached"),
        ("`NAME.attached`", "there while the device is attached to the kernel"),
        ("`/dev/walb/NAME`", "the device, while it is attached"),
    )
    return f"In the folder of the sockets, `{DEFAULT_SOCKET_DIR}`:\n\n{table(('File', 'Meaning'), rows)}"
