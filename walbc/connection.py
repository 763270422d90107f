"""Which server is meant and how it is asked: options, the servers file, the environment."""

from __future__ import annotations

import os
from collections import ChainMap
from collections.abc import Mapping

from walbc.global_options import DEFAULT_TIMEOUT_SEC, OPTIONS
from walbc.light import NamedTuple
from walbc.table import KIND_NAMES, Command, OptionError
from walbd.model.error import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from walbd.model.address import Address

VARIABLES = {"WALBC_HOST": "a", "WALBC_PORT": "p", "WALBC_TIMEOUT": "to", "WALBC_ID": "id"}
SERVER_VARIABLE = "WALBC_SERVER"


class Connection(NamedTuple):
    """`name` and `kind` ('' when not known) are those of the servers file."""

    host: str
    port: int
    timeout_sec: int
    client_id: str
    name: str = ""
    kind: str = ""

    @property
    def address(self) -> Address:
        """Host and port; raises InvalidArgument when it cannot be one."""
        from walbd.model.address import Address

        return Address(self.host, self.port)

    def check_kind(self, command: Command, form: Command) -> None:
        """Raises InvalidArgument when the servers file says that the server is of a kind that has no such command."""
        known = [KIND_NAMES[letter] for letter in form.kinds if letter in command.kinds]
        if self.kind and self.kind not in known:
            what = command.name if form is command else f"{command.name} {form.name}"
            raise InvalidArgument(f"{what} is not for {self.name}:{self.kind}", f"ask {' or '.join(known)}")


def resolve(options: Mapping[str, str], environment: Mapping[str, str], *, is_needed: bool = True) -> Connection:
    """What was said first counts: options, the server named by -s, variables, the server named by a variable. Raises
    OptionError when nobody says where the server is, InvalidArgument for a bad variable or servers file."""
    named = _named(options.get("s", ""), environment)
    by_default: dict[str, str] = {}
    if not named and "a" not in options and "WALBC_HOST" not in environment:
        by_default = _named(environment.get(SERVER_VARIABLE, ""), environment)
    said = ChainMap(dict(options), named, _variables(environment), by_default)
    for name in ("a", "p"):
        if is_needed and name not in said:
            raise OptionError(f"opt is necessary:{name}", "or name a server with -s; walbc -h explains both")
    return Connection(
        host=said.get("a", ""),
        port=int(said.get("p", "0")),
        timeout_sec=_integer(said, "to", DEFAULT_TIMEOUT_SEC),
        client_id=said.get("id", os.uname().nodename),
        name=said.get("name", ""),
        kind=said.get("kind", ""),
    )


def _variables(environment: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for variable, name in VARIABLES.items():
        if variable in environment:
            found[name] = environment[variable]
            try:
                OPTIONS[name].form(found[name])
            except InvalidArgument as error:
                raise InvalidArgument(f"{variable}: {error.message}", error.hint) from error
    return found


def _named(name: str, environment: Mapping[str, str]) -> dict[str, str]:
    """A server of the servers file, as options."""
    if not name:
        return {}
    from walbc.servers import find_server

    return find_server(name, environment).as_options()


def _integer(said: Mapping[str, str], name: str, default: int) -> int:
    from walbd.model.size import parse_option_int

    return parse_option_int(said[name]) if name in said else default
