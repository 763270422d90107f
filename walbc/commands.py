"""The command table (walbc.md section 5): a command is a row, nothing else."""

from __future__ import annotations

from walbc import kinds
from walbc.get_targets import GET_TARGETS
from walbc.table import Command, Forms, Parameter

_VOL = Parameter("VOL", kinds.VOLUME)
_ANY_VOL = Parameter("VOL", kinds.VOLUME, is_optional=True)
_NAME = Parameter("NAME", kinds.ARCHIVE)
_GID = Parameter("GID", kinds.GID)
_WHERE = (
    _VOL,
    _NAME,
    Parameter("HOST:PORT", kinds.ADDRESS),
    Parameter("CMPR", kinds.COMPRESSION, is_optional=True),
    Parameter("DELAY", kinds.SECONDS, is_optional=True),
)

_ARCHIVE_INFO = (
    Command("list", "names of the archives of a volume", (_VOL,), kinds="P"),
    Command("get", "address, compression and delay of an archive", (_VOL, _NAME), kinds="P"),
    Command("add", "make an archive a destination of a volume", _WHERE, kinds="P"),
    Command("update", "change (or make) a destination", _WHERE, kinds="P"),
    Command("delete", "remove a destination", (_VOL, _NAME), kinds="P"),
)


def _by_name(*rows: Command) -> dict[str, Command]:
    return {row.name: row for row in rows}


COMMANDS = _by_name(
    Command("status", "show the state of a server or a volume", (_ANY_VOL,), retries=True),
    Command(
        "init-vol",
        "make a volume known to a server",
        (_VOL, Parameter("WDEV", kinds.DEVICE, is_optional=True)),
        kinds="SA",
    ),
    Command("clear-vol", "remove a volume and all its data from a server", (_VOL,)),
    Command(
        "reset-vol",
        "discard the data of a volume, ready for a new full backup",
        (_VOL, Parameter("GID", kinds.GID, is_optional=True)),
        kinds="SA",
    ),
    Command(
        "full-bkp",
        "copy the whole volume to the primary archive, then ship its changes",
        (_VOL, Parameter("BULK", kinds.BULK, is_optional=True)),
        kinds="S",
        waits=True,
    ),
    Command("restore", "make a volume of a snapshot", (_VOL, _GID), kinds="A", waits=True),
    Command("del-restored", "delete a restored volume", (_VOL, _GID), kinds="A"),
    Command(
        "start",
        "start a volume; the role is for a storage, which needs it",
        (_VOL, Parameter("target|standby", kinds.ROLE, is_optional=True)),
    ),
    Command(
        "stop",
        "stop a volume: wait for its work, end that too (force), send all wdiffs first (empty, proxy only)",
        (_VOL, Parameter("graceful|force|empty", kinds.STOP_MODE, is_optional=True)),
        waits=True,
    ),
    Command(
        "archive-info",
        "the destinations of a volume at a proxy",
        kinds="P",
        forms=Forms("FORM", _by_name(*_ARCHIVE_INFO), "form not specified", "bad command name"),
    ),
    Command("snapshot", "take a snapshot and print its gid", (_VOL,), kinds="S"),
    Command(
        "kick",
        "retry delayed transfers now; VOL and ARCHIVE only at a proxy",
        (_ANY_VOL, Parameter("ARCHIVE", kinds.ARCHIVE, is_optional=True)),
        kinds="SP",
    ),
    Command(
        "set-full-scan-bps",
        "limit the bytes per second that later full backups read; 0 for no limit",
        (Parameter("SIZE", kinds.SIZE),),
        kinds="S",
    ),
    Command(
        "get",
        "print one thing about a server or a volume",
        retries=True,
        forms=Forms("TARGET", _by_name(*GET_TARGETS), "target not specified", "name not found"),
    ),
    Command(
        "exec",
        "run a program on the server's host",
        (Parameter("PATH", kinds.TEXT), Parameter("ARG", kinds.TEXT, is_optional=True, repeats=True)),
        passes_on=True,
    ),
    Command(
        "shutdown",
        "end a server: wait for its work (graceful, the default), or end that too (force)",
        (Parameter("graceful|force", kinds.SHUTDOWN_MODE, is_optional=True),),
        waits=True,
    ),
    Command(
        "sleep",
        "occupy a connection for a while, 1 s by default",
        (Parameter("SEC", kinds.SECONDS, is_optional=True),),
    ),
    Command("version", "print the version of a server"),
)
