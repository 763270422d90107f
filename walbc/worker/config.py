"""The configuration of the worker: classes and keys of walb-tools 1.0.19 (python-library.md section 12.1), and
`retention`."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any, ClassVar

import yaml

from walbc.library.constants import K_ARCHIVE, UINT64_MAX
from walbc.library.servers import ServerConnectionParam
from walbc.library.sync_options import CompressOpt
from walbc.library.verify import verify_size_unit
from walbc.worker.retention import KEEP_FORM, Rule, longest, parse_keep
from walbc.worker.schema import Key, PolicyError, as_mapping, read_section, read_value
from walbc.worker.units import (
    PERIOD_FORM,
    SIZE_FORM,
    parseFLAG,
    parsePERIOD,
    parsePort,
    parsePositive,
    parseSIZE_UNIT,
    parseTEXT,
)

_ZERO = datetime.timedelta(0)
_DAY = datetime.timedelta(days=1)
_COUNT = "a whole number, not negative"
_COMPRESSION = "TYPE:LEVEL:CPUS, for example snappy:0:1"
_UNIT = "digits and perhaps one of k m g t p"


def _compression(value: object) -> CompressOpt:
    option = CompressOpt()
    option.parse(parseTEXT(value))
    return option


def _size_unit(value: object) -> str:
    text = parseTEXT(value)
    verify_size_unit(text)
    return text


def _period(attribute: str) -> Key:
    return Key(attribute, parsePERIOD, PERIOD_FORM)


def _count(attribute: str) -> Key:
    return Key(attribute, parsePositive, _COUNT)


def _text(attribute: str, expected: str) -> Key:
    return Key(attribute, parseTEXT, expected)


def _sec(period: datetime.timedelta) -> int:
    return int(period.total_seconds())


class GeneralConfig:
    """`general`: the archive and how much is done at once. `timeout` and `kick_interval` in seconds."""

    KEYS: ClassVar = {
        "addr": _text("addr", "the host of the archive"),
        "port": Key("port", parsePort, "a port, 0..65535"),
        "walbc_path": _text("walbc_path", "the path of walbc"),
        "max_task": _count("max_task"),
        "max_replication_task": _count("max_replication_task"),
        "kick_interval": _count("kick_interval"),
        "timeout": _count("timeout"),
    }

    def __init__(self) -> None:
        self.addr = ""
        self.port = 0
        self.walbc_path = ""
        self.max_task = 1
        self.max_replication_task = 1
        self.kick_interval = 1
        self.timeout = 0

    def verify(self) -> None:
        """Raises PolicyError when something is missing."""
        for name in ("addr", "port", "walbc_path"):
            if not getattr(self, name):
                raise PolicyError(("general", name), f"GeneralConfig {name} is not set", self.KEYS[name].expected)
        if not Path(self.walbc_path).exists():
            raise PolicyError(("general", "walbc_path"), f"{self.walbc_path} is not there", "the path of walbc")

    def as_dict(self) -> dict[str, Any]:
        """As it stands in a file."""
        return {name: getattr(self, name) for name in self.KEYS}


class ApplyConfig:
    """`apply`: snapshots stay restorable for keep_period; a volume is applied once per interval."""

    KEYS: ClassVar = {"keep_period": _period("keep_period"), "interval": _period("interval")}

    def __init__(self) -> None:
        self.keep_period = _ZERO
        self.interval = _DAY

    def as_dict(self) -> dict[str, Any]:
        """As it stands in a file."""
        return {"keep_period": _sec(self.keep_period), "interval": _sec(self.interval)}


class MergeConfig:
    """`merge`: a volume is merged once per interval, and at once when it has threshold_nr wdiffs."""

    KEYS: ClassVar = {
        "interval": _period("interval"),
        "max_nr": _count("max_nr"),
        "max_size": Key("max_size", parseSIZE_UNIT, SIZE_FORM),
        "threshold_nr": _count("threshold_nr"),
    }

    def __init__(self) -> None:
        self.interval = _ZERO
        self.max_nr = UINT64_MAX
        self.max_size = UINT64_MAX
        self.threshold_nr = UINT64_MAX

    def verify(self) -> None:
        """Raises PolicyError when something is missing."""
        if not self.interval:
            raise PolicyError(("merge", "interval"), "MergeConfig interval is not set", PERIOD_FORM)

    def as_dict(self) -> dict[str, Any]:
        """As it stands in a file."""
        return {**{name: getattr(self, name) for name in self.KEYS}, "interval": _sec(self.interval)}


class ReplServerConfig:
    """`repl.servers.NAME`: a destination, and the least time between two replications of a volume to it."""

    KEYS: ClassVar = {
        "addr": _text("addr", "the host of the archive"),
        "port": Key("port", parsePort, "a port, 0..65535"),
        "interval": _period("interval"),
        "compress": Key("compress", _compression, _COMPRESSION),
        "max_merge_size": Key("max_merge_size", _size_unit, _UNIT),
        "bulk_size": Key("bulk_size", _size_unit, _UNIT),
        "max_send_size": Key("max_send_size", parseSIZE_UNIT, SIZE_FORM),
        "log_name": _text("log_name", "a name"),
        "enabled": Key("enabled", parseFLAG, "true or false"),
    }

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.addr = ""
        self.port = 0
        self.interval = _ZERO
        self.compress = CompressOpt()
        self.max_merge_size = "1G"
        self.bulk_size = "64K"
        self.max_send_size = 0
        self.log_name = ""
        self.enabled = True

    def verify(self) -> None:
        """Raises PolicyError when an enabled destination cannot be reached."""
        for name in ("addr", "port", "interval"):
            if self.enabled and not getattr(self, name):
                path = ("repl", "servers", self.name, name)
                raise PolicyError(path, f"ReplServerConfig {name} is not set", self.KEYS[name].expected)

    def getServerConnectionParam(self) -> ServerConnectionParam:
        """The destination as a server."""
        return ServerConnectionParam(self.name, self.addr, self.port, K_ARCHIVE)

    def as_dict(self) -> dict[str, Any]:
        """As it stands in a file."""
        values = {name: getattr(self, name) for name in self.KEYS}
        return {**values, "interval": _sec(self.interval), "compress": str(self.compress)}


class ReplConfig:
    """`repl`: destinations, and volumes that are never replicated."""

    def __init__(self) -> None:
        self.servers: dict[str, ReplServerConfig] = {}
        self.disabled_volumes: list[str] = []

    def set(self, value: object) -> None:
        """Overwrites the keys that are there."""
        section = as_mapping(value, "repl")
        for name, server in as_mapping(section.get("servers"), "repl", "servers").items():
            target = self.servers.setdefault(name, ReplServerConfig(name))
            read_section(target, ReplServerConfig.KEYS, server, "repl", "servers", name)
        if "disabled_volumes" in section:
            names, path = section["disabled_volumes"] or [], ("repl", "disabled_volumes")
            if not isinstance(names, list):
                raise PolicyError(path, f"bad value {names!r}", "a list of volumes")
            self.disabled_volumes = [read_value(parseTEXT, "the name of a volume", name, *path) for name in names]

    def getEnabledList(self) -> list[ReplServerConfig]:
        """The destinations in use."""
        return [server for server in self.servers.values() if server.enabled]

    def as_dict(self) -> dict[str, Any]:
        """As it stands in a file."""
        servers = {name: server.as_dict() for name, server in self.servers.items()}
        return {"servers": servers, "disabled_volumes": self.disabled_volumes}


class RetentionConfig:
    """`retention`: which explicit snapshots are kept; without rules, all."""

    def __init__(self) -> None:
        self.keep: tuple[Rule, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As it stands in a file."""
        return {"keep": ", ".join(rule.text for rule in self.keep)}


class Config:
    """The whole configuration. `set`, `setStr` and `load` overwrite single keys of what was set before."""

    def __init__(self, d: dict[str, Any] | None = None) -> None:
        self.general = GeneralConfig()
        self.apply_ = ApplyConfig()
        self.merge = MergeConfig()
        self.repl = ReplConfig()
        self.retention = RetentionConfig()
        if d is not None:
            self.set(d)

    def set(self, d: dict[str, Any]) -> None:
        """Takes the keys of a parsed file. Unknown keys are ignored. Raises PolicyError."""
        sections = as_mapping(d)
        read_section(self.general, GeneralConfig.KEYS, sections.get("general"), "general")
        read_section(self.apply_, ApplyConfig.KEYS, sections.get("apply"), "apply")
        read_section(self.merge, MergeConfig.KEYS, sections.get("merge"), "merge")
        self.repl.set(sections.get("repl"))
        keys = {"keep": Key("keep", parse_keep, KEEP_FORM)}
        read_section(self.retention, keys, sections.get("retention"), "retention")

    def setStr(self, s: str) -> None:
        """Takes the keys of a YAML text. Raises PolicyError, and yaml.YAMLError for what is no YAML."""
        self.set(yaml.safe_load(s))

    def load(self, path: str) -> None:
        """Takes the keys of a YAML file."""
        self.setStr(Path(path).read_text(encoding="utf-8"))

    @property
    def keep_period(self) -> datetime.timedelta:
        """How long snapshots must stay restorable: apply.keep_period, and as far back as a retention rule reaches."""
        return max(self.apply_.keep_period, longest(self.retention.keep))

    def verify(self) -> None:
        """Raises PolicyError when something is missing."""
        self.general.verify()
        if not self.keep_period:
            raise PolicyError(("apply", "keep_period"), "ApplyConfig keep_period is not set", PERIOD_FORM)
        self.merge.verify()
        for server in self.repl.servers.values():
            server.verify()

    def __str__(self) -> str:
        sections = {
            "general": self.general.as_dict(),
            "apply": self.apply_.as_dict(),
            "merge": self.merge.as_dict(),
            "repl": self.repl.as_dict(),
            **({"retention": self.retention.as_dict()} if self.retention.keep else {}),
        }
        return str(yaml.safe_dump(sections, sort_keys=False))
