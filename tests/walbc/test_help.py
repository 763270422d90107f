"""Help texts, made from the tables."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from walbc.commands import COMMANDS
from walbc.explanations import COMMANDS as EXPLANATIONS
from walbc.get_targets import GET_TARGETS
from walbc.options import Printout, parse
from walbc.table import OptionError
from walbd.model.error import InvalidArgument

SERVER = ["-a", "host1", "-p", "10000"]


def help_of(*words: str) -> list[str]:
    with pytest.raises(Printout) as caught:
        parse(words, {})
    assert caught.value.status == 0
    lines: list[str] = caught.value.text.split("\n")
    return lines


def test_main_help_has_the_documented_layout() -> None:
    lines = help_of("-h")
    assert re.fullmatch(
        r"version \S+ build at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d \(wlog version 2\)",
        lines[1],
    )
    assert lines[2:6] == ["", "usage: walbc [<opt1>] <command> [<args>]", "", "Command list:"]
    width = max(map(len, COMMANDS)) + 1
    listed = lines[6 : 6 + len(COMMANDS)]
    assert [line[2 : 2 + width].rstrip() for line in listed] == list(COMMANDS)
    assert lines[6 + len(COMMANDS)] == ""
    required = [line.split()[0] for line in lines if line.endswith(" (must)")]
    assert required == ["-a", "-p"]


@pytest.mark.parametrize("command", [name for name in COMMANDS if not COMMANDS[name].passes_on])
def test_each_command_explains_itself(command: str) -> None:
    lines = help_of(*SERVER, command, "-h")
    assert re.match(rf"usage: ?{command}", lines[0])
    assert ("  --wait : show progress, end when the work has ended" in lines) == COMMANDS[command].waits


@pytest.mark.parametrize(
    ("words", "meant"),
    [(["statu", "-h"], "status"), (["get", "restorabl", "-h"], "restorable"), (["archive-info", "ad", "-h"], "add")],
)
def test_help_of_what_does_not_exist_is_answered_with_what_may_have_been_meant(words: list[str], meant: str) -> None:
    with pytest.raises((OptionError, InvalidArgument)) as caught:
        parse(words, {})
    assert f"did you mean {meant}" in caught.value.hint


def test_help_of_exec_is_shown_where_no_server_is_named_whose_program_could_want_it() -> None:
    assert help_of("exec", "-h")[0] == "usage:exec PATH [ARG ...]"


def test_help_of_a_command_needs_no_server() -> None:
    assert help_of("restore", "-h")[0] == "usage:restore VOL GID"


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_an_explanation_and_an_example_that_is_in_order(name: str, tmp_path: Path) -> None:
    example = EXPLANATIONS[name].example
    file = tmp_path / "servers.toml"
    kinds = (("s0", "storage"), ("p0", "proxy"), ("a0", "archive"))
    file.write_text("".join(f"[servers.{name}]\nhost='h'\nport=1\nkind='{kind}'\n" for name, kind in kinds))
    program, *words = shlex.split(example)
    request = parse(words, {"WALBC_CONFIG": str(file)})
    assert (program, request.command.name) == ("walbc", name)


def test_help_of_a_target_shows_an_answer_as_lines_and_as_json() -> None:
    lines = help_of("get", "restorable", "-h")
    assert lines[0] == "usage:get restorable VOL [all]"
    assert "  5 2026-11-23T01:03:00 1" in lines
    assert any(line.startswith('  [{"gid": 5, ') for line in lines)


def test_help_of_a_command_shows_optional_parameters_in_brackets() -> None:
    assert help_of(*SERVER, "kick", "-h")[0] == "usage:kick [VOL [ARCHIVE]]"


def test_help_of_get_lists_all_targets_in_alphabetic_order() -> None:
    lines = help_of(*SERVER, "get", "-h")
    assert lines[:2] == ["usage: get TARGET ARGUMENTS...", "TARGET list:"]
    listed = [line.split()[0] for line in lines[2 : 2 + len(GET_TARGETS)]]
    assert listed == sorted(target.name for target in GET_TARGETS)
