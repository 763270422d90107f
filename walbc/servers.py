"""The servers file: names for servers, in TOML (docs/reference/walb-servers.md).

[servers.a0]
host = "backup1"
port = 10200
kind = "archive"    # optional, as are timeout (seconds) and id
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from walbc.global_options import MAX_PORT, MAX_TIMEOUT_SEC
from walbd.model.error import InvalidArgument, NotFound
from walbd.model.suggest import suggestion
from walbd.world.files import Files

FILE_VARIABLE = "WALBC_CONFIG"
SYSTEM_FILE = Path("/etc/walb/servers.toml")
MAX_FILE_BYTES = 1 << 20
_TABLE = "servers"
_NAME = re.compile(r"[0-9A-Za-z_.-]{1,64}")
_KINDS = ("storage", "proxy", "archive")


class Server(NamedTuple):
    """One server of the file."""

    name: str
    host: str
    port: int
    kind: str = ""
    timeout: int | None = None
    id: str | None = None

    def as_options(self) -> dict[str, str]:
        """What the options of the command line would say."""
        said = {"a": self.host, "p": str(self.port), "name": self.name, "kind": self.kind}
        if self.timeout is not None:
            said["to"] = str(self.timeout)
        if self.id is not None:
            said["id"] = self.id
        return said


def check_name(name: str) -> str:
    """Returns the name of a server; raises InvalidArgument."""
    if not _NAME.fullmatch(name):
        raise InvalidArgument(f"bad server name:{name[:80]}", "use 1 to 64 of 0-9 a-z A-Z _ . -")
    return name


def servers_file(environment: Mapping[str, str]) -> Path:
    """The file that counts: that of the variable, else that of the user where there is one, else the system's."""
    if environment.get(FILE_VARIABLE):
        return Path(environment[FILE_VARIABLE])
    folder = environment.get("XDG_CONFIG_HOME") or os.path.join(environment.get("HOME", "/"), ".config")
    own = Path(folder) / "walb" / "servers.toml"
    return own if own.exists() else SYSTEM_FILE


def load_servers(environment: Mapping[str, str]) -> dict[str, Server]:
    """All servers of the file by name. Raises NotFound without a file, StorageFailure, and InvalidArgument that names
    file, line, key and what was expected."""
    path = servers_file(environment)
    if not path.exists():
        raise NotFound(f"no servers file:{path}", f"write one (man walb-servers), or name it in {FILE_VARIABLE}")
    try:
        text = Files().load(path, MAX_FILE_BYTES).decode()
        tables = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"{path}: not UTF-8 at byte {error.start}", "expected TOML") from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidArgument(f"{path}: {_told(error)}", "expected TOML") from error
    return _Reader(path, text).servers(tables)


def find_server(name: str, environment: Mapping[str, str]) -> Server:
    """The server of a name. Raises as load_servers, and NotFound with what may have been meant."""
    servers = load_servers(environment)
    if name not in servers:
        known = f"there are {' '.join(servers)}" if servers else "the file has none"
        raise NotFound(
            f"no server of that name in {servers_file(environment)}:{name}", suggestion(name, servers, known)
        )
    return servers[name]


def _told(error: tomllib.TOMLDecodeError) -> str:
    """`line 3, column 5: Expected '=' after a key`."""
    match = re.fullmatch(r"(.*?) \(at (.*)\)", str(error), re.DOTALL)
    return f"{match[2]}: {match[1]}" if match else str(error)


class _Reader:
    """Checks what was read; a mistake is told with the line it is probably on."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._lines = text.splitlines()

    def servers(self, tables: Mapping[str, Any]) -> dict[str, Server]:
        for key in tables:
            if key != _TABLE:
                raise self._failure([key], f"an unknown table; expected [{_TABLE}.NAME]")
        found = tables.get(_TABLE, {})
        if not isinstance(found, dict):
            raise self._failure([_TABLE], f"expected tables [{_TABLE}.NAME]")
        return {name: self._server(name, table) for name, table in found.items()}

    def _server(self, name: str, table: Any) -> Server:
        if not _NAME.fullmatch(name):
            raise self._failure([_TABLE, name], "a bad name; expected 1 to 64 of 0-9 a-z A-Z _ . -")
        if not isinstance(table, dict):
            raise self._failure([_TABLE, name], "expected a table with host and port")
        for key in table:
            if key not in KEYS:
                raise self._failure([_TABLE, name, key], f"an unknown key; expected one of {' '.join(KEYS)}")
        for key, (is_good, expected) in KEYS.items():
            if key in table and not is_good(table[key]):
                raise self._failure([_TABLE, name, key], f"expected {expected}, found {table[key]!r:.80}")
            if key in ("host", "port") and key not in table:
                raise self._failure([_TABLE, name], f"{key} is missing; expected {expected}")
        return Server(name, **table)

    def _failure(self, keys: list[str], text: str) -> InvalidArgument:
        line = self._line_of(keys)
        place = f"{self._path}: line {line}" if line else str(self._path)
        return InvalidArgument(f"{place}: {'.'.join(keys)}: {text}")

    def _line_of(self, keys: list[str]) -> int:
        """The line of a header or of a key below it, wherever tables are written in lines of their own."""
        header = re.compile(r"\s*\[\s*" + r"\s*\.\s*".join(map(_quotable, keys[:2])) + r"\s*[\].]")
        key = re.compile(rf"\s*{_quotable(keys[-1])}\s*[=.]")
        is_below = len(keys) == 1
        for number, line in enumerate(self._lines, 1):
            if header.match(line):
                is_below = True
                if len(keys) < 3:
                    return number
            elif is_below and key.match(line):
                return number
        return self._line_in_other_ways(keys)

    def _line_in_other_ways(self, keys: list[str]) -> int:
        """The line of an inline table or of a dotted key: where the names follow each other; 0 when they do not."""
        found = 0
        for name in keys[1:]:
            pattern = re.compile(rf"(?<![\w-]){_quotable(name)}\s*[=.\]]")
            lines = enumerate(self._lines, 1)
            found = next((number for number, line in lines if number >= found and pattern.search(line)), found)
        return found


def _quotable(name: str) -> str:
    return rf"[\"']?{re.escape(name)}[\"']?"


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 255 and value.isprintable()


def _is_integer(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


KEYS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "host": (_is_text, "a host name or an address"),
    "port": (lambda value: _is_integer(value, 1, MAX_PORT), f"a port from 1 to {MAX_PORT}"),
    "kind": (lambda value: value in _KINDS, " or ".join(_KINDS)),
    "timeout": (lambda value: _is_integer(value, 0, MAX_TIMEOUT_SEC), f"seconds from 0 to {MAX_TIMEOUT_SEC}"),
    "id": (_is_text, "a name of this client"),
}
