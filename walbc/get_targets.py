"""The targets of `get` (walbc.md section 6): a target is a row, nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from walbc import kinds
from walbc.table import Command, Parameter
from walbd.model.error import InvalidArgument

_VOL = Parameter("VOL", kinds.VOLUME)
_ANY_VOL = Parameter("VOL", kinds.VOLUME, is_optional=True)
_GID = Parameter("GID", kinds.GID)
_RANGE = (
    _VOL,
    Parameter("GID0", kinds.GID, is_optional=True),
    Parameter("GID1", kinds.GID, is_optional=True),
)


def _check_range(values: Sequence[str]) -> None:
    if len(values) == 3 and int(values[1]) >= int(values[2]):
        raise InvalidArgument(f"bad gid range:{values[1]}:{values[2]}", "GID0 must be less than GID1")


GET_TARGETS = (
    Command("base", "state of the base image", (_VOL,), kinds="A"),
    Command("diff", "the wdiffs between two gids", _RANGE, kinds="A", check=_check_range),
    Command("handler-stat", "counts and latencies of requests; reading resets them"),
    Command("host-type", "storage, proxy or archive"),
    Command("is-overflow", "1 if the log device has overflowed", (_VOL,), kinds="S"),
    Command(
        "is-wdiff-send-error",
        "1 if sending to an archive has failed",
        (_VOL, Parameter("ARCHIVE", kinds.ARCHIVE)),
        kinds="P",
    ),
    Command("latest-snap", "the latest snapshot of one or all volumes", (_ANY_VOL,)),
    Command("log-usage", "used and whole log space of one or all volumes", (_ANY_VOL,), kinds="S"),
    Command("num-action", "how often an action is running", (_VOL, Parameter("ACTION", kinds.ACTION)), kinds="A"),
    Command("num-diff", "how many wdiffs lie between two gids", _RANGE, kinds="A", check=_check_range),
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
    Command("total-diff-size", "bytes of the wdiffs between two gids", _RANGE, kinds="A", check=_check_range),
    Command("uuid", "uuid of the volume's log", (_VOL,), kinds="SA"),
    Command("vol", "names of the volumes"),
    Command("vol-size", "size of the base image in blocks (512 bytes)", (_VOL,), kinds="A"),
)
