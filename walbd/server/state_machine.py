"""State machines of volumes: tables as data and the one engine that runs them (servers.md section 2.8).

Every change is a transaction `begin -> during -> end`. `during` is a dynamic state, never stored; a transaction that
is left without commit returns the volume to the state before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from walbd.model.error import BadState

CLEAR = "Clear"


@dataclass(frozen=True)
class Transition:
    """One row of a state table; several rows with the same begin and during offer several ends."""

    begin: str
    during: str
    end: str
    cause: str


class StateTable:
    """The rows of one kind of server."""

    def __init__(self, kind: str, rows: Iterable[Transition]) -> None:
        self.kind = kind
        self.rows = tuple(rows)
        self.dynamic = frozenset(row.during for row in self.rows)
        self.static = frozenset(state for row in self.rows for state in (row.begin, row.end))
        if overlap := self.static & self.dynamic:
            raise ValueError(f"static and dynamic at once: {sorted(overlap)}")

    def begins(self, during: str) -> list[str]:
        """The static states from which a dynamic state can be entered."""
        return list(dict.fromkeys(row.begin for row in self.rows if row.during == during))

    def ends(self, begin: str, during: str) -> list[str]:
        """The static states that a transaction may commit to."""
        return [row.end for row in self.rows if row.begin == begin and row.during == during]


class StateMachine:
    """The state of one volume. Used from the event loop only; `on_change` is called after each change."""

    def __init__(self, table: StateTable, state: str, on_change: Callable[[], None] = lambda: None) -> None:
        if state not in table.static:
            raise BadState(f"no such state of a walb-{table.kind} volume:{state}")
        self.table = table
        self._state = state
        self._change: StateChange | None = None
        self._on_change = on_change

    @property
    def state(self) -> str:
        """The current state, static or dynamic."""
        return self._state

    @property
    def is_static(self) -> bool:
        return self._change is None

    def begin(self, during: str, begin: str | None = None) -> StateChange:
        """Opens the transaction into the dynamic state `during` from `begin` (default: wherever the table allows it).

        Raises BadState when the current state is another or a transaction is open. Use it with `with`."""
        wanted = begin or ",".join(self.table.begins(during))
        if self._change is not None:
            raise BadState(f"StateMachineTransaction:tryChange:already called:{self._state}:{wanted}:{during}")
        allowed = self.table.begins(during) if begin is None else [begin]
        if self._state not in allowed or not self.table.ends(self._state, during):
            raise BadState(f"StateMachineTransaction:bad state:{self._state}:{wanted}:{during}")
        self._change = StateChange(self, self._state, during)
        self._set(during)
        return self._change

    def _finish(self, change: StateChange, state: str) -> None:
        if self._change is change:
            self._change = None
            self._set(state)

    def _set(self, state: str) -> None:
        self._state = state
        self._on_change()


class StateChange:
    """An open transaction. Leaving the `with` block without commit rolls back."""

    def __init__(self, machine: StateMachine, begin: str, during: str) -> None:
        self._machine = machine
        self.begin = begin
        self.during = during

    def commit(self, end: str | None = None) -> None:
        """Ends the transaction in `end` (may be left out when the table offers only one). What the new state means
        must be durable before. Raises BadState when the table does not allow that end."""
        ends = self._machine.table.ends(self.begin, self.during)
        target = end or ends[0]
        if target not in ends or (end is None and len(ends) > 1):
            raise BadState(f"StateMachineTransaction:bad state:{self.during}:{end}:not reachable")
        self._machine._finish(self, target)

    def rollback(self) -> None:
        """Returns to the state before begin; does nothing after commit."""
        self._machine._finish(self, self.begin)

    def __enter__(self) -> StateChange:
        return self

    def __exit__(self, *_: object) -> None:
        self.rollback()
