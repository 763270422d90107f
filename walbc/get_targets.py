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
    Command("all-actions", "counts and times of the actions of all volumes", kinds="A"),
    Command(
        "applicable-diff",
        "the wdiffs that can be applied to the base image, up to a gid",
        (_VOL, _ANY_GID),
        kinds="A",
    ),
    Command("archive-uuid", "uuid of the archive's copy of the volume", (_VOL,), kinds="A"),
    Command("base", "state of the base image", (_VOL,), kinds="A"),
    Command("base-all", "state of the base images of all volumes", kinds="A"),
    Command("cold", "gids of the cold snapshots", (_VOL,), kinds="A"),
    Command("diff", "the wdiffs between two gids", _RANGE, kinds="A", check=_check_range),
    Command("exists-base-image", "1 if there is a base image", (_VOL,), kinds="A"),
    Command(
        "exists-diff",
        "1 if there is a wdiff from |B0,B1| to |E0,E1|",
        (_VOL, *(Parameter(name, kinds.GID) for name in ("B0", "B1", "E0", "E1"))),
        kinds="A",
        check=_check_snapshots,
    ),
    Command("handler-stat", "counts and latencies of requests; reading resets them"),
    Command("host-type", "storage, proxy or archive"),
    Command("is-overflow", "1 if the log device has overflowed", (_VOL,), kinds="S"),
    Command(
        "is-wdiff-send-error",
        "1 if sending to an archive has failed",
        (_VOL, Parameter("ARCHIVE", kinds.ARCHIVE)),
        kinds="P",
    ),
    Command("last-result", "how each kind of work of a volume ended the last time", (_VOL,)),
    Command("latest-snap", "the latest snapshot of one or all volumes", (_ANY_VOL,)),
    Command("log-usage", "used and whole log space of one or all volumes", (_ANY_VOL,), kinds="S"),
    Command("meta-snap", "the latest snapshot up to a gid", (_VOL, _ANY_GID), kinds="A"),
    Command(
        "meta-state",
        "state of the volume at a gid, or (1) as if it were being applied up to there",
        (_VOL, Parameter("0|1", kinds.IS_APPLYING), _ANY_GID),
        kinds="A",
    ),
    Command("num-action", "how often an action is running", (_VOL, Parameter("ACTION", kinds.ACTION)), kinds="A"),
    Command("num-diff", "how many wdiffs lie between two gids", _RANGE, kinds="A", check=_check_range),
    Command("overflow-eta", "seconds until the log device overflows at the present rate", (_VOL,), kinds="S"),
    Command("pid", "process id of the server"),
    Command("progress", "blocks (512 bytes) received by a running full copy", (_VOL,), kinds="A"),
    Command(
        "proxy-diff",
        "wdiffs not yet sent to an archive, or not yet distributed",
        (_VOL, Parameter("ARCHIVE", kinds.ARCHIVE, is_optional=True)),
        kinds="P",
    ),
    Command(
        "restorable",
        "gid, time and explicitness of restorable snapshots; implicit ones with all",
        (_VOL, Parameter("all", kinds.ALL, is_optional=True)),
        kinds="A",
    ),
    Command("restored", "gids of the restored volumes", (_VOL,), kinds="A"),
    Command("restored-path", "path of a restored volume", (_VOL, _GID), kinds="A"),
    Command("state", "state of a volume", (_VOL,)),
    Command("tasks", "running and ended work of one or all volumes", (_ANY_VOL,)),
    Command("thinpool", "name of the thin pool, if one is used", kinds="A"),
    Command("total-diff-size", "bytes of the wdiffs between two gids", _RANGE, kinds="A", check=_check_range),
    Command("ts-delta", "how far the copies of the volumes elsewhere are behind", kinds="SA"),
    Command("uuid", "uuid of the volume's log", (_VOL,), kinds="SA"),
    Command("vol", "names of the volumes"),
    Command("vol-size", "size of the base image in blocks (512 bytes)", (_VOL,), kinds="A"),
    Command("volume-group", "name of the volume group, if one is used", kinds="A"),
)
