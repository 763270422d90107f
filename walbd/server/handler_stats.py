"""How often and how long conversations were served: `get handler-stat` (servers.md section 2.13)."""

from __future__ import annotations

from dataclasses import dataclass, field

MAX_CLIENTS = 1000
"""Entries kept; what exceeds them is counted together (W43)."""
OTHERS = "(others)"

Key = tuple[str, str]
"""Name of a command or get target, client id."""


@dataclass
class HandlerStats:
    """Counters since the last reading."""

    _commands: dict[Key, int] = field(default_factory=dict)
    _targets: dict[Key, int] = field(default_factory=dict)
    _latencies: dict[str, tuple[int, float]] = field(default_factory=dict)

    def count_command(self, name: str, client: str) -> None:
        _count(self._commands, name, client)

    def count_target(self, name: str, client: str) -> None:
        _count(self._targets, name, client)

    def add_latency(self, name: str, sec: float) -> None:
        """Duration of a successful run."""
        count, total_sec = self._latencies.get(name, (0, 0.0))
        self._latencies[name] = count + 1, total_sec + sec

    def take_lines(self) -> list[str]:
        """The lines of `get handler-stat`; reading empties the counters."""
        lines = [f"PROTOCOL_COUNT\t{name}\t{client}\t{count}" for (name, client), count in self._commands.items()]
        lines += [f"PROTOCOL_LATENCY\t{name}\t{total / count:.6f}" for name, (count, total) in self._latencies.items()]
        lines += [f"GET_COUNT\t{name}\t{client}\t{count}" for (name, client), count in self._targets.items()]
        self._commands.clear()
        self._targets.clear()
        self._latencies.clear()
        return lines


def _count(table: dict[Key, int], name: str, client: str) -> None:
    key = name, client
    if key not in table and len(table) >= MAX_CLIENTS:
        key = name, OTHERS
    table[key] = table.get(key, 0) + 1
