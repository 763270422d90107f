"""The pages of the three daemons, made from their options."""

from __future__ import annotations

import socket
from typing import NamedTuple

from scripts.reference import markdown
from scripts.reference.markdown import block, code, see_also, table
from walbd.archive.options import ArchiveSettings
from walbd.proxy.options import ProxySettings
from walbd.server.common_options import CommonSettings
from walbd.server.options import Option, Settings, synopsis
from walbd.server.program import FAILURE, SUCCESS
from walbd.storage.options import StorageSettings


class _Daemon(NamedTuple):
    name: str
    purpose: str
    settings: type[CommonSettings]
    duty: str
    neighbours: tuple[str, ...]


_DAEMONS = (
    _Daemon(
        "walb-storage",
        "ships the log of walb devices, and backs their volumes up",
        StorageSettings,
        """
The daemon at the host of the walb devices. It waits for new log of each volume that is Target, gives it a gid (an
implicit snapshot, every `-snapintvl` seconds), and sends it to the first proxy of `-proxy` that takes it; log that a
proxy has made durable is given free. `walbc full-bkp` and `walbc hash-bkp` copy a volume to the archive of `-archive`.

The log device of a volume fills while no proxy takes its log: `walbc get overflow-eta VOL` tells how long that can
go on.
""",
        ("wdevc", "walb-device"),
    ),
    _Daemon(
        "walb-proxy",
        "turns log into wdiffs and forwards them to the archives",
        ProxySettings,
        """
The daemon between storages and archives. It converts the log it receives to wdiff files, and keeps each until every
archive of the volume has it. `walbc archive-info` says which archives a volume has.

Diffs that wait for an archive fill the file system of the base directory: `walbc get disk-space` and `status` show how
much is free. The last 5 % (at most 1 GiB) are never filled.
""",
        (),
    ),
    _Daemon(
        "walb-archive",
        "keeps the images of volumes and their history, and restores snapshots",
        ArchiveSettings,
        """
The daemon that keeps a full image of each volume (the base image) and the wdiffs after it, and restores any snapshot of
it as a writable volume. `walbc apply` moves the base image on, `walbc merge` makes one wdiff of several,
`walbc replicate` brings another archive up to this one; [walb-worker](walb-worker.md) does all that by policy.

Images are sparse files in the base directory, or with `-vg` logical volumes of LVM: thick ones, or with `-tp` thin
ones. The volume group, and the pool in it, must exist. Two archives must not share them, unless their volumes have
different names. The base directory must exist.
""",
        ("walb-worker",),
    ),
)
_COMMON = """
It runs in the foreground until `walbc shutdown` or a signal ends it, and is asked and told everything through
[walbc](walbc.md). Only one daemon can use a base directory; one that belongs to another kind of server is refused.
"""
_OPTIONS = """
They may stand in any order, a value is the next word, the last of a name wins. Numbers are decimal, perhaps with
`k m g` (powers of 1000) or `K M G` (powers of 1024) at the end, or `0x` and hexadecimal digits.
"""
_SIGNALS = (
    ("`SIGTERM`, `SIGINT`, `SIGQUIT`", "act as `walbc shutdown force`: running work ends and rolls back, within 10 s"),
    ("`SIGHUP`", "opens the log file again, after a rotation"),
)
_ERRORS = """
A command line that is not well formed is answered with `OptionError:REASON` and the help on standard output, a wrong
value or a failing start with one line on standard error: `{kind}Server: error: REASON (hint: WHAT TO DO)`.
"""
_LOG = """
Lines are `YYYY-MM-DD hh:mm:ss.mmm LEVEL TEXT`, in UTC. Worth watching: `ERROR`, `volume failed`, `overflow`,
`SEND_ERROR_NO_MORE_RETRY`.
"""


def pages() -> list[str]:
    """A page for each daemon."""
    return [_page(daemon) for daemon in _DAEMONS]


def _page(daemon: _Daemon) -> str:
    kind = daemon.name.removeprefix("walb-")
    statuses = (
        (str(SUCCESS), "`-h`; ended by `shutdown` or a signal; `--check`: could start"),
        (str(FAILURE), "anything else; the reason is one line"),
    )
    sections = {
        "Synopsis": block(synopsis(daemon.settings, daemon.name)),
        "Description": f"{daemon.duty}{_COMMON}",
        "Options": f"{_OPTIONS.strip()}\n\n{_options(daemon.settings)}{_ignored(daemon.settings)}",
        "Signals": table(("Signal", "Effect"), _SIGNALS),
        "Exit status": f"{table(('Status', 'Meaning'), statuses)}\n{_ERRORS.format(kind=kind.capitalize())}",
        "Files": f"{table(('File', 'Meaning'), _files(daemon.settings))}\n{_LOG}",
        "See also": see_also("walb", "walbc", "walb-states", "walb-base", *daemon.neighbours),
    }
    return markdown.page(f"{daemon.name}(1): {daemon.purpose}", sections)


def _options(settings: type[Settings]) -> str:
    rows = [("`-h`", "show this help")]
    rows += ((code(row.form), _explanation(row)) for _, row in settings.options())
    return table(("Option", "Meaning"), rows)


def _explanation(row: Option) -> str:
    """What -h prints, but for the name of this host."""
    return row.explanation.replace(f"(default {socket.gethostname()})", "(default the host name)")


def _ignored(settings: type[Settings]) -> str:
    if not settings.ignored:
        return ""
    forms = ", ".join(code(f"-{name} {kind.value}".rstrip()) for name, kind in settings.ignored.items())
    return f"\n\nAccepted for old start scripts, without effect: {forms}."


def _files(settings: type[CommonSettings]) -> list[tuple[str, str]]:
    base = next(row.default for field, row in settings.options() if field == "base_dir")
    return [
        (
            code(f"{base}/VOL/"),
            "what is known of a volume, in the default base directory; see [walb-base](walb-base.md)",
        ),
        ("the file of `-l`", "the log"),
    ]
