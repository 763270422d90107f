"""The targets of `get` (walbc.md section 6): a target is a row, nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from walbc import kinds
from walbc.table import Command, Parameter
from walbd.model.error import InvalidArgument

_VOL = Parameter("VOL", kinds.VOLUME)
_ANY_VOL = Parameter("VOL", kinds.VOLUME, is_optional=True)
_GID = Parameter("GID", kinds.GID)
_ANY_GID = Parameter("GID", kinds.GID, is_optional=True)
_RANGE = (
    _VOL,
    Parameter("GID0", kinds.GID, is_optional=True),
    Parameter("GID1", kinds.GID, is_optional=True),
)


def _check_range(values: Sequence[str]) -> None:
    if len(values) == 3 and int(values[1]) >= int(values[2]):
        raise InvalidArgument(f"bad gid range:{values[1]}:{values[2]}", "GID0 must be less than GID1")


def _check_snapshots(values: Sequence[str]) -> None:
    for begin, end in (values[1:3], values[3:5]):
        if int(begin) > int(end):
            raise InvalidArgument(f"must be gidB <= gidE:{begin}:{end}", "give both gids of a snapshot in order")


GET_TARGETS = (
    Command("all-actions", "counts and times of the actions of all volumes", kinds="A", shape="actions"),
    Command(
        "applicable-diff",
        "the wdiffs that can be applied to the base image, up to a gid",
        (_VOL, _ANY_GID),
        kinds="A",
        shape="diffs",
    ),
    Command("archive-uuid", "uuid of the archive's copy of the volume", (_VOL,), kinds="A", shape="text"),
    Command("base", "state of the base image", (_VOL,), kinds="A", shape="text"),
    Command("base-all", "state of the base images of all volumes", kinds="A", shape="bases"),
    Command("cold", "gids of the cold snapshots", (_VOL,), kinds="A", shape="numbers"),
    Command("diff", "the wdiffs between two gids", _RANGE, kinds="A", check=_check_range, shape="diffs"),
    Command("exists-base-image", "1 if there is a base image", (_VOL,), kinds="A", shape="flag"),
    Command(
        "disk-space",
        "room where logs and diffs are kept, and whether it is low",
        kinds="P",
        shape="disk-space",
    ),
    Command(
        "exists-diff",
        "1 if there is a wdiff from |B0,B1| to |E0,E1|",
        (_VOL, *(Parameter(name, kinds.GID) for name in ("B0", "B1", "E0", "E1"))),
        kinds="A",
        check=_check_snapshots,
        shape="flag",
    ),
    Command("handler-stat", "counts and latencies of requests; reading resets them", shape="statistics"),
    Command("host-type", "storage, proxy or archive", shape="text"),
    Command("is-overflow", "1 if the log device has overflowed", (_VOL,), kinds="S", shape="flag"),
    Command(
        "is-wdiff-send-error",
        "1 if sending to an archive has failed",
        (_VOL, Parameter("ARCHIVE", kinds.ARCHIVE)),
        kinds="P",
        shape="flag",
    ),
    Command("last-result", "how each kind of work of a volume ended the last time", (_VOL,), shape="works"),
    Command("latest-snap", "the latest snapshot of one or all volumes", (_ANY_VOL,), shape="snapshots"),
    Command("log-usage", "used and whole log space of one or all volumes", (_ANY_VOL,), kinds="S", shape="log-usage"),
    Command("meta-snap", "the latest snapshot up to a gid", (_VOL, _ANY_GID), kinds="A", shape="text"),
    Command(
        "meta-state",
        "state of the volume at a gid, or (1) as if it were being applied up to there",
        (_VOL, Parameter("0|1", kinds.IS_APPLYING), _ANY_GID),
        kinds="A",
        shape="text",
    ),
    Command(
        "num-action",
        "how often an action is running",
        (_VOL, Parameter("ACTION", kinds.ACTION)),
        kinds="A",
        shape="number",
    ),
    Command("num-diff", "how many wdiffs lie between two gids", _RANGE, kinds="A", check=_check_range, shape="number"),
    Command(
        "overflow-eta",
        "seconds until the log device overflows at the present rate, or never",
        (_VOL,),
        kinds="S",
        shape="estimate",
    ),
    Command("pid", "process id of the server", shape="number"),
    Command(
        "progress", "blocks (512 bytes) sent or received by a running full copy", (_VOL,), kinds="SA", shape="number"
    ),
    Command(
        "proxy-diff",
        "wdiffs not yet sent to an archive, or not yet distributed",
        (_VOL, Parameter("ARCHIVE", kinds.ARCHIVE, is_optional=True)),
        kinds="P",
        shape="diffs",
    ),
    Command(
        "restorable",
        "gid, time and explicitness of restorable snapshots; implicit ones with all",
        (_VOL, Parameter("all", kinds.ALL, is_optional=True)),
        kinds="A",
        shape="restorable",
    ),
    Command("restored", "gids of the restored volumes", (_VOL,), kinds="A", shape="numbers"),
    Command("restored-path", "path of a restored volume", (_VOL, _GID), kinds="A", shape="text"),
    Command("state", "state of a volume", (_VOL,), shape="text"),
    Command("tasks", "running and ended work of one or all volumes", (_ANY_VOL,), shape="works"),
    Command("thinpool", "name of the thin pool, if one is used", kinds="A", shape="text"),
    Command(
        "total-diff-size", "bytes of the wdiffs between two gids", _RANGE, kinds="A", check=_check_range, shape="number"
    ),
    Command("ts-delta", "how far the copies of the volumes elsewhere are behind", kinds="SA", shape="deltas"),
    Command("uuid", "uuid of the volume's log", (_VOL,), kinds="SA", shape="text"),
    Command("vol", "names of the volumes", shape="texts"),
    Command("vol-size", "size of the base image in blocks (512 bytes)", (_VOL,), kinds="A", shape="number"),
    Command("volume-group", "name of the volume group, if one is used", kinds="A", shape="text"),
)
