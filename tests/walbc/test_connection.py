"""Where a server is: options, the servers file, the environment, and what is said about a file that is broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from walbc.options import Request, parse
from walbc.table import OptionError
from walbd.model.address import Address
from walbd.model.error import InvalidArgument, NotFound, WalbError

FILE = """
# the group
[servers.s0]
host = "storage1"
port = 10000
kind = "storage"

[servers.a0]
host = "backup1"
port = 10200
kind = "archive"
timeout = 60
id = "operator"

[servers.plain]
host = "::1"
port = 1
"""


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """An environment with a servers file."""
    path = tmp_path / "servers.toml"
    path.write_text(FILE)
    return {"WALBC_CONFIG": str(path)}


def where(words: list[str], variables: dict[str, str]) -> tuple[str, int, str]:
    got: Request = parse(words, variables)
    return str(got.server), got.timeout_sec, got.client_id


def test_a_server_is_named(variables: dict[str, str]) -> None:
    assert where(["-s", "a0", "status"], variables) == ("backup1:10200", 60, "operator")
    assert where(["-s", "plain", "-id", "me", "status"], variables) == ("[::1]:1", 10, "me")


def test_options_of_the_command_line_come_first(variables: dict[str, str]) -> None:
    words = ["-s", "a0", "-p", "2", "-to", "3", "-id", "me", "status"]
    assert where(words, variables | {"WALBC_PORT": "9", "WALBC_TIMEOUT": "9"}) == ("backup1:2", 3, "me")


def test_the_environment_says_what_nothing_else_does(variables: dict[str, str]) -> None:
    said = {"WALBC_HOST": "h", "WALBC_PORT": "7", "WALBC_TIMEOUT": "0", "WALBC_ID": "me"}
    assert where(["status"], said) == ("h:7", 0, "me")
    assert where(["-a", "i", "status"], said) == ("i:7", 0, "me")
    assert where(["-s", "s0", "status"], said | variables) == ("storage1:10000", 0, "me")


def test_the_environment_can_name_a_server(variables: dict[str, str]) -> None:
    assert where(["-id", "me", "status"], variables | {"WALBC_SERVER": "s0"}) == ("storage1:10000", 10, "me")
    words = ["-a", "h", "-p", "1", "-id", "me", "status"]
    assert where(words, variables | {"WALBC_SERVER": "s0"}) == ("h:1", 10, "me")


def test_the_users_file_comes_before_the_systems(tmp_path: Path) -> None:
    (tmp_path / ".config" / "walb").mkdir(parents=True)
    (tmp_path / ".config" / "walb" / "servers.toml").write_text(FILE)
    assert parse(["-s", "s0", "status"], {"HOME": str(tmp_path)}).server == Address("storage1", 10000)
    with pytest.raises(NotFound, match=r"no servers file:/etc/walb/servers\.toml"):
        parse(["-s", "s0", "status"], {"HOME": str(tmp_path / "nobody")})


@pytest.mark.parametrize(
    ("variable", "value", "text"),
    [
        ("WALBC_PORT", "x", "WALBC_PORT: not a number:x"),
        ("WALBC_PORT", "70000", "WALBC_PORT: port out of range:70000"),
        ("WALBC_TIMEOUT", "1x", "WALBC_TIMEOUT: bad number:1x"),
        ("WALBC_ID", "a\nb", "WALBC_ID: bad node id"),
        ("WALBC_SERVER", "a/b", "no server of that name"),
    ],
)
def test_a_bad_variable_is_named(variables: dict[str, str], variable: str, value: str, text: str) -> None:
    with pytest.raises(WalbError) as caught:
        parse(["status"], variables | {"WALBC_PORT": "1", variable: value})
    assert caught.value.message.startswith(text)


def test_a_bad_variable_is_an_error_even_where_an_option_stands() -> None:
    with pytest.raises(InvalidArgument, match="WALBC_PORT"):
        parse(["-a", "h", "-p", "1", "status"], {"WALBC_PORT": "x"})


def test_a_mistyped_server_is_answered_with_what_may_have_been_meant(variables: dict[str, str]) -> None:
    with pytest.raises(NotFound) as caught:
        parse(["-s", "plane", "status"], variables)
    assert caught.value.hint == "did you mean plain?"
    with pytest.raises(NotFound) as caught:
        parse(["-s", "zzz", "status"], variables)
    assert caught.value.hint == "there are s0 a0 plain"
    with pytest.raises(OptionError, match="bad value:a b for -s"):
        parse(["-s", "a b", "status"], variables)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[servers.a0]\nhost 1\n", "line 2, column 6: Expected '=' after a key in a key/value pair"),
        (
            "[servers.a0]\nhost = 'h'\nport = 'x'\n",
            "line 3: servers.a0.port: expected a port from 1 to 65535, found 'x'",
        ),
        ("[servers.a0]\nhost = 'h'\nport = true\n", "line 3: servers.a0.port: expected a port from 1 to 65535"),
        ("[servers.a0]\nhost = 'h'\nport = 70000\n", "line 3: servers.a0.port: expected a port from 1 to 65535"),
        ("[servers.a0]\nhost = ''\nport = 1\n", "line 2: servers.a0.host: expected a host name or an address"),
        ("\n\n[servers.a0]\nhost = 'h'\n", "line 3: servers.a0: port is missing"),
        (
            "[servers.a0]\nhost='h'\nport=1\nkind='disk'\n",
            "line 4: servers.a0.kind: expected storage or proxy or archive",
        ),
        ("[servers.a0]\nhost='h'\nport=1\ntimeout=-1\n", "line 4: servers.a0.timeout: expected seconds from 0"),
        ("[servers.a0]\nhots='h'\nport=1\n", "line 2: servers.a0.hots: an unknown key; expected one of host port"),
        ("[servers.'a b']\nhost='h'\nport=1\n", "line 1: servers.a b: a bad name"),
        ("[server.a0]\nhost='h'\nport=1\n", "line 1: server: an unknown table; expected [servers.NAME]"),
        ("servers = 1\n", "line 1: servers: expected tables [servers.NAME]"),
        ("servers.a0 = 1\n", "line 1: servers.a0: expected a table with host and port"),
        ("[servers.a00]\nhost='h'\nport=1\n[servers.a0]\nhost='h'\nport=0\n", "line 6: servers.a0.port: expected"),
        ("[servers]\na={host='h',port=1}\na0={host='h',port=1,kimd='x'}\n", "line 3: servers.a0.kimd: an unknown key"),
        (
            "servers.a.port=1\nservers.a.host='h'\nservers.a0.host='h'\nservers.a0.port=0\n",
            "line 4: servers.a0.port: expected a port",
        ),
    ],
)
def test_a_broken_file_is_told_with_line_key_and_what_was_expected(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "servers.toml"
    path.write_text(text)
    with pytest.raises(InvalidArgument) as caught:
        parse(["-s", "a0", "status"], {"WALBC_CONFIG": str(path)})
    assert caught.value.message.startswith(f"{path}: {reason}")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_text_or_cannot_be_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "servers.toml"
    path.write_bytes(b"\xff")
    with pytest.raises(InvalidArgument, match="not UTF-8 at byte 0"):
        parse(["-s", "a0", "status"], {"WALBC_CONFIG": str(path)})
    with pytest.raises(WalbError, match="cannot read"):
        parse(["-s", "a0", "status"], {"WALBC_CONFIG": str(tmp_path)})


def test_a_server_of_the_wrong_kind_is_not_even_asked(variables: dict[str, str]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse(["-s", "a0", "snapshot", "vol0"], variables)
    assert str(caught.value) == "snapshot is not for a0:archive (hint: ask storage)"
    with pytest.raises(InvalidArgument, match="get proxy-diff is not for s0:storage"):
        parse(["-s", "s0", "get", "proxy-diff", "vol0"], variables)
    assert parse(["-s", "plain", "snapshot", "vol0"], variables).parameters == ["vol0"]
