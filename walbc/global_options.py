"""The options before the command (walbc.md section 1): an option is a row."""

from __future__ import annotations

from collections.abc import Callable

from walbc.light import NamedTuple

MAX_PORT = 65535
MAX_TIMEOUT_SEC = 10**6
DEFAULT_TIMEOUT_SEC = 10
DEFAULT_RETRIES = 2


class GlobalOption(NamedTuple):
    """One row: `-name WORD`; without a word it is a switch. `form` raises InvalidArgument."""

    name: str
    word: str
    explanation: str
    form: Callable[[str], object] = str
    is_required: bool = False

    @property
    def written(self) -> str:
        """`-a HOST`."""
        return f"-{self.name} {self.word}".rstrip()


def _port(text: str) -> int:
    from walbd.model.limits import check_range
    from walbd.model.size import parse_uint

    return check_range("port", parse_uint(text), 0, MAX_PORT)


def _integer(text: str) -> int:
    from walbd.model.size import parse_option_int

    return parse_option_int(text)


def _timeout(text: str) -> int:
    from walbd.model.limits import check_range

    return check_range("time-out", _integer(text), 0, MAX_TIMEOUT_SEC)


def _client_id(text: str) -> str:
    from walbd.model.limits import check_node_id

    return check_node_id(text)


def _name(text: str) -> str:
    from walbc.servers import check_name

    return check_name(text)


OPTIONS = {
    option.name: option
    for option in (
        GlobalOption("a", "HOST", "host name or address of the server", is_required=True),
        GlobalOption("p", "PORT", "its port", _port, is_required=True),
        GlobalOption("s", "NAME", "a server of the servers file, instead of -a and -p", _name),
        GlobalOption(
            "to",
            "SEC",
            f"time-out of connecting and of each message, 0 for none (default {DEFAULT_TIMEOUT_SEC})",
            _timeout,
        ),
        GlobalOption("id", "ID", "name of this client in the server's log (default the host name)", _client_id),
        GlobalOption(
            "retry",
            "COUNT",
            f"attempts after a failed connection, only for status and get (default {DEFAULT_RETRIES})",
            _integer,
        ),
        GlobalOption("debug", "", "say on stderr what happens"),
    )
}
WAIT = "--wait"
JSON = "--json"
ONCE = "--once"
SWITCHES = {
    WAIT: "show progress, end when the work has ended",
    JSON: "print the answer as JSON",
    ONCE: "print one page and end",
}
"""They may stand before the command or after it."""
