"""The command table (walbc.md section 5): a command is a row, nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from walbc import kinds
from walbc.get_targets import GET_TARGETS
from walbc.global_options import ONCE
from walbc.table import Command, Forms, Parameter
from walbd.model.error import InvalidArgument

_VOL = Parameter("VOL", kinds.VOLUME)
_ANY_VOL = Parameter("VOL", kinds.VOLUME, is_optional=True)
_NAME = Parameter("NAME", kinds.ARCHIVE)
_GID = Parameter("GID", kinds.GID)
_GIDS = (_VOL, Parameter("GID", kinds.GID, repeats=True))
_BULK = Parameter("BULK", kinds.BULK, is_optional=True)
_SCAN = (
    _VOL,
    _GID,
    _BULK,
    Parameter("SIZE", kinds.SIZE, is_optional=True),
    Parameter("PCT", kinds.PERCENTAGE, is_optional=True),
)
_WHERE = (
    _VOL,
    _NAME,
    Parameter("HOST:PORT", kinds.ADDRESS),
    Parameter("CMPR", kinds.COMPRESSION, is_optional=True),
    Parameter("DELAY", kinds.SECONDS, is_optional=True),
)

_ARCHIVE_INFO = (
    Command("list", "names of the archives of a volume", (_VOL,), kinds="P", shape="texts"),
    Command("get", "address, compression and delay of an archive", (_VOL, _NAME), kinds="P", shape="destination"),
    Command("add", "make an archive a destination of a volume", _WHERE, kinds="P"),
    Command("update", "change (or make) a destination", _WHERE, kinds="P"),
    Command("delete", "remove a destination", (_VOL, _NAME), kinds="P"),
)


def _check_merge(values: Sequence[str]) -> None:
    _, begin, by, end = values
    if by == "gid" and int(begin) >= int(end):
        raise InvalidArgument(f"bad gid range:{begin}:{end}", "the second gid must be larger")


def _by_name(*rows: Command) -> dict[str, Command]:
    return {row.name: row for row in rows}


COMMANDS = _by_name(
    Command("status", "show the state of a server or a volume", (_ANY_VOL,), retries=True, shape="status"),
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
        (_VOL, _BULK),
        kinds="S",
        waits=True,
    ),
    Command(
        "hash-bkp",
        "bring the primary archive up to date with what differs there, then ship the changes",
        (_VOL, _BULK),
        kinds="S",
        waits=True,
    ),
    Command(
        "restore",
        "make a volume of a snapshot",
        (_VOL, Parameter("GID", kinds.GID_OR_TIME)),
        kinds="A",
        waits=True,
    ),
    Command("del-restored", "delete a restored volume", (_VOL, _GID), kinds="A"),
    Command("del-cold", "delete a cold snapshot, from which restores begin", (_VOL, _GID), kinds="A"),
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
    Command("snapshot", "take a snapshot and print its gid", (_VOL,), kinds="S", shape="number"),
    Command(
        "disable-snapshot",
        "let snapshots disappear when diffs are merged (they become implicit)",
        _GIDS,
        kinds="A",
    ),
    Command("enable-snapshot", "keep snapshots when diffs are merged (they become explicit)", _GIDS, kinds="A"),
    Command(
        "replicate",
        "bring another archive up to this one: all but MIB of diffs, or up to a gid at least",
        (
            _VOL,
            Parameter("gid|size", kinds.MERGE_BY),
            Parameter("GID|MIB", kinds.REPLICATE_END),
            Parameter("HOST:PORT", kinds.ADDRESS),
            Parameter("RESYNC", kinds.FLAG, is_optional=True),
            Parameter("DONTMERGE", kinds.FLAG, is_optional=True),
            Parameter("CMPR", kinds.COMPRESSION, is_optional=True),
            Parameter("MAXMERGE", kinds.SIZE, is_optional=True),
            _BULK,
        ),
        kinds="A",
        waits=True,
    ),
    Command(
        "apply",
        "write the diffs up to a gid into the base image and delete them",
        (_VOL, _GID),
        kinds="A",
        waits=True,
    ),
    Command(
        "merge",
        "make one diff of several: from GIDB to a gid, or as many as fit a size in MiB",
        (
            _VOL,
            Parameter("GIDB", kinds.GID),
            Parameter("gid|size", kinds.MERGE_BY),
            Parameter("GIDE|MIB", kinds.MERGE_END),
        ),
        kinds="A",
        waits=True,
        check=_check_merge,
    ),
    Command(
        "resize",
        "enlarge a volume: the walb device of a storage (0: as large as its data device), the image of an archive",
        (_VOL, Parameter("SIZE", kinds.SIZE), Parameter("zeroclear", kinds.ZERO_CLEAR, is_optional=True)),
        kinds="SA",
    ),
    Command(
        "kick",
        "retry delayed transfers now; VOL and ARCHIVE only at a proxy",
        (_ANY_VOL, Parameter("ARCHIVE", kinds.ARCHIVE, is_optional=True)),
        kinds="SP",
    ),
    Command(
        "set-full-scan-bps",
        "limit the bytes per second that later backups read; 0 for no limit",
        (Parameter("SIZE", kinds.SIZE),),
        kinds="S",
    ),
    Command(
        "bhash",
        "print the hash of a snapshot; it depends on BULK",
        _SCAN,
        kinds="A",
        waits=True,
        always_waits=True,
        shape="text",
    ),
    Command(
        "virt-full-scan",
        "copy the image of a snapshot to a place, without restoring it",
        (Parameter("DEV", kinds.IMAGE), *_SCAN),
        kinds="A",
        waits=True,
        always_waits=True,
        program="walbc.virtual_scan",
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
    Command("version", "print the version of a server", shape="version"),
    Command("gc-diff", "delete diffs that nothing needs any more", (_VOL,), kinds="A"),
    Command("dbg-reload-metadata", "read the folder of a volume again (needs -allow-dbg)", (_VOL,), kinds="A"),
    Command(
        "dbg-set-uuid",
        "overwrite the uuid of the log whose diffs are taken (dangerous; needs -allow-dbg)",
        (_VOL, Parameter("UUID", kinds.UUID)),
        kinds="A",
    ),
    Command(
        "dbg-set-state",
        "overwrite the state of a volume (dangerous; needs -allow-dbg)",
        (_VOL, Parameter("STATE", kinds.STATE)),
        kinds="A",
    ),
    Command(
        "dbg-set-base",
        "overwrite what the base image is said to hold (dangerous; needs -allow-dbg)",
        (_VOL, Parameter("METASTATE", kinds.BASE)),
        kinds="A",
    ),
    Command(
        "dbg-dump-logpack-header",
        "write the header of a log pack to a file in the volume's folder at the storage",
        (_VOL, Parameter("LSID", kinds.LSID)),
        kinds="S",
    ),
    Command(
        "top",
        "show volumes, lag, log usage, running work and alarms of a group of servers",
        (Parameter("NAME", kinds.SERVER, is_optional=True, repeats=True),),
        program="walbc.top.program",
        needs_server=False,
        switches=(ONCE,),
    ),
    Command(
        "completion",
        "print a script that lets a shell complete the words of walbc",
        (Parameter("SHELL", kinds.SHELL),),
        program="walbc.completion",
        needs_server=False,
    ),
)
