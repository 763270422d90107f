"""Names that are not allowed, `../x` above all: in every command, at the client and past it, and in every data
conversation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.backup_group import BackedUpVolume, RelayedGroup
from tests.system.hostile import HostilePeer, control
from walbc.commands import COMMANDS
from walbc.table import Command
from walbd.model.compression import CompressOpt
from walbd.model.varint import Encoder
from walbd.net.frame import FrameType, encode

BAD_NAMES = ["../x", "..", ".", "a/b", "/etc", "a b", "x" * 65, "a\nb", "v\x1b[2J", "ä", "a_b", "a.b", "a\0b"]
KINDS = {"S": "storage", "P": "proxy", "A": "archive"}
# A good value for each kind of parameter besides the volume's name.
GOOD = {"WDEV": "nodev", "GID": "1", "BULK": "64k", "target|standby": "target", "graceful|force|empty": "force"}
GOOD |= {"NAME": "a0", "HOST:PORT": "127.0.0.1:1", "CMPR": "none:0:1", "DELAY": "0", "ARCHIVE": "a0", "ACTION": "Apply"}
GOOD |= {"GID0": "0", "GID1": "9", "0|1": "0", "all": "all", "B0": "0", "B1": "0", "E0": "1", "E1": "1"}
GOOD |= {"GIDB": "1", "gid|size": "gid", "GIDE|MIB": "2", "SIZE": "1m", "UUID": "0" * 32, "STATE": "Stopped"}
GOOD |= {"GID|MIB": "2", "METASTATE": "<|0|>-20261123010500", "LSID": "0", "DEV": "stdout"}


def forms(command: Command) -> Iterator[tuple[list[str], Command]]:
    """The words before the parameters, and the row that describes those."""
    if command.forms:
        for row in command.forms.rows.values():
            yield [row.name], row
    else:
        yield [], command


def commands_with_a_volume() -> list[tuple[str, str, list[str], int]]:
    """(kind of server, command, parameters, index of the volume's name) of everything that takes a volume."""
    found = []
    for command in COMMANDS.values():
        for words, row in forms(command):
            for index, parameter in enumerate(row.parameters):
                if parameter.name == "VOL":
                    values = [GOOD.get(other.name, "") for other in row.parameters if not other.is_optional]
                    values += [""] * (index + 1 - len(values))
                    values[index] = ""
                    for letter in row.kinds if row.kinds != "SPA" else command.kinds:
                        found.append((KINDS[letter], command.name, [*words, *values], len(words) + index))
    return found


def tree(folder: Path) -> set[str]:
    """Every path below the base directories of a group."""
    places = [folder / kind for kind in KINDS.values()]
    return {str(path) for place in places for path in place.rglob("*")} | {path.name for path in folder.iterdir()}


def test_the_table_of_commands_is_not_empty() -> None:
    assert len(commands_with_a_volume()) > 40


@pytest.mark.parametrize("bad", BAD_NAMES)
def test_walbc_refuses_a_bad_volume_name_in_every_command(group: RelayedGroup, bad: str) -> None:
    for kind, command, params, index in commands_with_a_volume():
        words = [*params[:index], bad, *params[index + 1 :]]
        error = group.ask(getattr(group, kind), command, *words).error
        assert "volId" in error, f"{command} {words}: {error}"


def test_servers_refuse_a_bad_volume_name_in_every_command(group: RelayedGroup, volume: BackedUpVolume) -> None:
    before = tree(group.folder)
    for kind, command, params, index in commands_with_a_volume():
        for bad in [*BAD_NAMES, "", f"../{kind}/{volume.name}", volume.name + "/../" + volume.name]:
            words = [*params[:index], bad, *params[index + 1 :]]
            if kind == "storage" and command == "kick":
                continue  # takes no names: what follows is not looked at
            if COMMANDS[command].program:
                continue
            if kind == "storage":
                words += {"start": ["target"], "init-vol": ["nodev"]}.get(command, [])
            error = control(getattr(group, kind).port, command, words)
            assert "volId" in error or (not bad and "empty" in error), f"{kind} {command} {words}: {error}"
            assert "\n" not in error and "\x1b" not in error
    assert tree(group.folder) == before


def test_a_proxy_refuses_bad_names_of_archives(group: RelayedGroup, volume: BackedUpVolume) -> None:
    group.walbc(group.proxy, "stop", volume.name, "--wait")
    before = tree(group.folder)
    for form in ("add", "update", "delete", "get"):
        rest = ["127.0.0.1:1"] if form in ("add", "update") else []
        for bad in ("../x", "..", ".hidden", "a/b", "x" * 65, "a\nb", "a b"):
            assert "archive name" in group.ask(group.proxy, "archive-info", form, volume.name, bad, *rest).error
            assert "archive name" in control(group.proxy.port, "archive-info", [form, volume.name, bad, *rest])
    assert tree(group.folder) == before


@pytest.mark.parametrize("bad", ["../x", "a/b", "x" * 26, "control", "a b"])
def test_bad_names_of_devices_are_refused(group: RelayedGroup, bad: str) -> None:
    assert "device" in group.ask(group.storage, "init-vol", "neverthere", bad).error
    assert group.state(group.storage, "neverthere") == "Clear"


def full_backup_request(name: str) -> Encoder:
    fields = Encoder().string("storage").string(name).varint(8192).varint(1_700_000_000).varint(65536)
    CompressOpt.parse("none:0:1").write(fields)
    return fields.raw(bytes(16))


def wlog_request(name: str) -> Encoder:
    return Encoder().string(name).raw(bytes(16)).varint(512).varint(1).varint(8192).varint(0).varint(100)


def wdiff_request(name: str) -> Encoder:
    fields = Encoder().string("proxy").string(name).raw(bytes(16)).varint(8192)
    from walbd.model.diff import Diff
    from walbd.model.snapshot import Snapshot

    Diff(Snapshot.clean(0), Snapshot.clean(1), True, False, 1_700_000_000).write(fields)
    return fields.varint(0)


CONVERSATIONS = [
    ("archive", "dirty-full-sync3", full_backup_request),
    ("archive", "wdiff-transfer", wdiff_request),
    ("proxy", "wlog-transfer", wlog_request),
]


@pytest.mark.parametrize(("kind", "command", "request_for"), CONVERSATIONS)
def test_data_conversations_refuse_bad_volume_names(
    group: RelayedGroup, kind: str, command: str, request_for: object
) -> None:
    before = tree(group.folder)
    for bad in [*BAD_NAMES, "", f"../{kind}/x"]:
        with HostilePeer(getattr(group, kind).port) as peer:
            peer.greet(command)
            peer.send(encode(FrameType.REQUEST, request_for(bad).bytes()))  # type: ignore[operator]
            error = peer.error()
        assert "volId" in error, f"{bad!r}: {error}"
    assert tree(group.folder) == before


@pytest.mark.parametrize(("kind", "command", "request_for"), CONVERSATIONS)
def test_data_conversations_refuse_unknown_volumes(
    group: RelayedGroup, kind: str, command: str, request_for: object
) -> None:
    with HostilePeer(getattr(group, kind).port) as peer:
        peer.greet(command)
        peer.send(encode(FrameType.REQUEST, request_for("unknown").bytes()))  # type: ignore[operator]
        assert "unknown" in peer.error()
    assert "unknown" not in group.walbc(getattr(group, kind), "get", "vol")
