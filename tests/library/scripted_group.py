"""Servers that answer at once and record what they were asked, in the notation of python-library.md section 16."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import walb
import walblib
from walbc.library.servers import AnyServer
from walbd.model.error import Refused

NEVER_GID = 2**64 - 1
DIFFS = ("|5|-->|6| -- 2026-01-01T00:00:00 9", "|6|-->|7| M- 2026-01-01T00:00:01 9")
_SHORT = (("get state vol0", "st"), ("archive-info list vol0", "list"))


@dataclass
class ScriptedGroup:
    """Channel of a Controller. `states` by server, `archives` by proxy; `gid` is the newest at every archive."""

    states: dict[str, str] = field(default_factory=dict)
    archives: dict[str, list[str]] = field(default_factory=dict)
    gid: int = 7
    restored: list[int] = field(default_factory=list)
    bases: set[str] = field(default_factory=lambda: {"a0"})
    size_mb: dict[str, int] = field(default_factory=dict)
    diffs: list[str] = field(
        default_factory=lambda: ["|5|-->|6| -- 2026-01-01T00:00:00 9", "|6|-->|7| M- 2026-01-01T00:00:01 9"]
    )
    answers: dict[str, str | Exception | Callable[[], str]] = field(default_factory=dict)
    """Overrides by `SERVER: COMMAND`."""
    calls: list[str] = field(default_factory=list)

    def ask(self, server: AnyServer, command: str, params: Sequence[str], timeout_sec: int) -> list[str]:
        text = " ".join([command, *params])
        self._record(server.name, text, timeout_sec)
        override = self.answers.get(f"{server.name}: {text}")
        if isinstance(override, Exception):
            raise override
        if override is not None:
            answer = override() if callable(override) else override
        else:
            answer = getattr(self, f"_{command.replace('-', '_')}", lambda *_: "")(server.name, list(params))
        return answer.split("\n") if answer else []

    def _record(self, name: str, text: str, timeout_sec: int) -> None:
        for long, short in _SHORT:
            text = short if text == long else text
        text = text.replace(" vol0", "")
        self.calls.append(f"{name}: {text}" + (f" -to {timeout_sec}" if timeout_sec == 100 else ""))

    def take(self) -> list[str]:
        """What was asked since the last time."""
        calls, self.calls = self.calls, []
        return calls

    def _state(self, name: str) -> str:
        return self.states.get(name, "Clear")

    def _get(self, name: str, words: list[str]) -> str:
        match words:
            case ["state", *_]:
                return self._state(name)
            case ["host-type"]:
                return {"s": "storage", "p": "proxy", "a": "archive"}[name[0]]
            case ["restorable", *_]:
                return f"0 2026-01-01T00:00:00 0\n{self.gid} 2026-01-01T00:00:01 1"
            case ["restored", *_]:
                return "\n".join(map(str, self.restored))
            case ["num-action", *_]:
                return "0"
            case ["exists-base-image", *_]:
                return str(int(name in self.bases))
            case ["exists-diff", *_] | ["is-overflow", *_]:
                return "1"
            case ["vol-size", *_]:
                return str(self.size_mb.get(name, 12) * 2048)
            case ["base", *_]:
                return f"<|{self.gid}|>-20260101000000"
            case ["applicable-diff" | "diff", *_]:
                return "\n".join(self.diffs)
            case ["archive-uuid", *_]:
                return "00" * 16
            case ["volume-group"]:
                return "vg0"
            case ["vol"]:
                return "vol0"
        return ""

    def _status(self, name: str, words: list[str]) -> str:
        return "hostType storage\nvolume vol0\nwdevPath /dev/walb/0"

    def _init_vol(self, name: str, words: list[str]) -> str:
        return self._become(name, "SyncReady")

    def _clear_vol(self, name: str, words: list[str]) -> str:
        return self._become(name, "Clear")

    def _reset_vol(self, name: str, words: list[str]) -> str:
        return self._become(name, "SyncReady")

    def _start(self, name: str, words: list[str]) -> str:
        role = words[1].capitalize() if len(words) > 1 else {"p": "Started", "a": "Archived"}[name[0]]
        return self._become(name, role)

    def _stop(self, name: str, words: list[str]) -> str:
        return self._become(name, "SyncReady" if self._state(name) == "Standby" else "Stopped")

    def _become(self, name: str, state: str) -> str:
        self.states[name] = state
        return ""

    def _archive_info(self, name: str, words: list[str]) -> str:
        listed = self.archives.setdefault(name, [])
        match words:
            case ["list", *_]:
                return "\n".join(listed)
            case ["get", *_]:
                return "h:1 gzip:3:2 5"
            case ["delete", _, archive]:
                listed.remove(archive)
                self._become(name, "Stopped" if listed else "Clear")
            case [_, _, archive, *_]:
                if archive not in listed:
                    listed.append(archive)
                self._become(name, "Stopped")
        return ""

    def _full_bkp(self, name: str, words: list[str]) -> str:
        self._become("a0", "Archived")
        return self._become(name, "Target")

    def _hash_bkp(self, name: str, words: list[str]) -> str:
        self.gid += 1
        return self._become(name, "Target")

    def _snapshot(self, name: str, words: list[str]) -> str:
        if self._state(name) == "Clear":
            raise Refused("bad state:Clear", "init it first")
        self.gid += 1
        return str(self.gid)

    def _restore(self, name: str, words: list[str]) -> str:
        self.restored.append(int(words[1]))
        return ""

    def _del_restored(self, name: str, words: list[str]) -> str:
        self.restored.remove(int(words[1]))
        return ""

    def _apply(self, name: str, words: list[str]) -> str:
        self.answers[f"{name}: get restorable vol0"] = f"{words[1]} 2026-01-01T00:00:00 0"
        return ""

    def _replicate(self, name: str, words: list[str]) -> str:
        return self._become("a1", "Archived")

    def _resize(self, name: str, words: list[str]) -> str:
        self.size_mb[name] = int(words[1].rstrip("m"))
        return ""


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now_sec = 0.0

    def monotonic(self) -> float:
        return self.now_sec

    def sleep(self, sec: float) -> None:
        self.now_sec += sec


def new_servers() -> dict[str, walblib.ServerStartupParam]:
    """s0 s1 p0 p1 a0 a1."""
    kinds = {"s": walblib.K_STORAGE, "p": walblib.K_PROXY, "a": walblib.K_ARCHIVE}
    servers = {}
    for port, name in enumerate(["s0", "s1", "p0", "p1", "a0", "a1"], 10000):
        connection = walblib.ServerConnectionParam(name, "h", port, kinds[name[0]])
        servers[name] = walblib.ServerStartupParam(connection, "/bin/", f"/var/{name}", None, "vg0")
    return servers


def old_servers() -> dict[str, walb.Server]:
    """The same as servers of 2014."""
    return {
        name: walb.Server(name, s.address, s.port, s.kind, s.binDir, s.dataDir, None, s.vg)
        for name, s in new_servers().items()
    }


def attach(controller: Any, group: ScriptedGroup) -> Clock:
    """Puts a scripted group behind a controller, and a clock that costs nothing."""
    clock = Clock()
    controller._channel = group
    controller._monotonic, controller._sleep = clock.monotonic, clock.sleep
    return clock


def expand(text: str) -> list[str]:
    """The calls of a list in section 16's notation: `s0: st x2, stop force; p0: list`."""
    calls = []
    for part in text.split("; "):
        server, words = part.split(": ", 1)
        for word in words.split(", "):
            name, _, count = word.partition(" x")
            calls += [f"{server}: {name if count.isdigit() else word}"] * (int(count) if count.isdigit() else 1)
    return calls
