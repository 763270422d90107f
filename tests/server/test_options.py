from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import pytest

from walbd.model.address import Address
from walbd.model.error import InvalidArgument
from walbd.server.common_options import BackgroundSettings, CommonSettings
from walbd.server.options import HelpWanted, Kind, OptionError, help_text, option, parse


@dataclass(frozen=True, kw_only=True)
class Example(BackgroundSettings):
    ignored: ClassVar[Mapping[str, Kind]] = {"old": Kind.INTEGER, "older": Kind.SWITCH}
    archive: Address = option("archive", Kind.ADDRESS, None, "primary archive", must=True)
    proxies: tuple[Address, ...] = option("proxy", Kind.ADDRESS_LIST, (), "proxies")
    share: float = option("share", Kind.REAL, 1.5, "a real number")
    compress: object = option("cmpr", Kind.COMPRESS, "snappy:0:1", "compression")


MUST = ["-archive", "host:5000"]


def test_what_is_not_given_has_its_default() -> None:
    settings = parse(Example, MUST)
    assert (settings.port, settings.timeout_sec, settings.debug, settings.log_path) == (5000, 10, False, "-")
    assert str(settings.compress) == "snappy:0:1"
    assert settings.given == {"archive"}


def test_the_last_occurrence_of_an_option_wins() -> None:
    assert parse(Example, [*MUST, "-fg", "3", "-fg", "0x10"]).max_foreground == 16


@pytest.mark.parametrize(
    ("text", "value"), [("12", 12), ("0x1f", 31), ("2k", 2000), ("2K", 2048), ("1m", 10**6), ("1M", 1 << 20)]
)
def test_integers_are_decimal_hexadecimal_or_have_one_suffix(text: str, value: int) -> None:
    assert parse(Example, [*MUST, "-maxconn", text]).max_connections == value


def test_lists_of_addresses_and_compression_are_taken_apart() -> None:
    settings = parse(Example, [*MUST, "-proxy", "a:1,b:2", "-cmpr", "zstd:3:2"])
    assert settings.proxies == (Address("a", 1), Address("b", 2))
    assert str(settings.compress) == "zstd:3:2"


def test_the_value_of_an_option_is_taken_even_if_it_looks_like_an_option() -> None:
    assert parse(Example, [*MUST, "-id", "-p"]).node_id == "-p"


def test_historic_options_are_accepted_and_have_no_effect() -> None:
    assert parse(Example, [*MUST, "-old", "5", "-older", "-fg", "3"]).max_foreground == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-x"], "bad opt:-x"),
        (["-"], "bad opt:-"),
        (["--port", "1"], "bad opt:--port"),
        (["-p"], "bad value:no value for -p"),
        (["-p", "70000"], "bad value:70000 for -p"),
        (["-p", "23100abc"], "bad value:23100abc for -p"),
        (["-p", "-1"], "bad value:-1 for -p"),
        (["-fg", "two"], "bad value:two for -fg"),
        (["-share", "x\n"], "bad value:x\\n for -share"),
        (["-share", "nan"], "bad value:nan for -share"),
        (["word"], "redundant argVal:word"),
        (["-1"], "redundant argVal:-1"),
        ([], "opt is necessary:archive"),
    ],
)
def test_a_command_line_of_wrong_form_is_an_option_error(arguments: list[str], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        parse(Example, arguments)
    assert caught.value.message == message


@pytest.mark.parametrize(
    "arguments",
    [
        ["-fg", "0"],
        ["-maxconn", "0"],
        ["-bg", "0"],
        ["-proxy", "a:1,,b:2"],
        ["-archive", "host"],
        ["-cmpr", "zip:1:1"],
        ["-to", "1G"],
        ["-ka", "-kaidle", "90000"],
        ["-id", "a\nb"],
    ],
)
def test_wrong_content_is_refused_but_is_no_option_error(arguments: list[str]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse(Example, [*MUST, *arguments])
    assert not isinstance(caught.value, OptionError)


def test_keep_alive_numbers_are_checked_only_with_keep_alive() -> None:
    settings = parse(Example, [*MUST, "-kaidle", "90000"])
    assert settings.keep_alive_text() == "OFF"


def test_keep_alive_takes_the_place_of_time_outs() -> None:
    settings = parse(Example, [*MUST, "-ka"])
    assert settings.keep_alive_text() == "ON (idle 1800 intvl 60 cnt 10)"


def test_a_longest_delay_below_the_first_is_raised_with_a_warning() -> None:
    settings, warnings = parse(Example, [*MUST, "-delay", "20", "-maxdelay", "5"]).adjusted()
    assert settings.max_delay_sec == 20
    assert len(warnings) == 1
    assert parse(CommonSettings, []).adjusted()[1] == []


def test_help_is_asked_for_before_anything_is_refused() -> None:
    with pytest.raises(HelpWanted):
        parse(Example, ["-h"])


def test_the_help_has_a_line_for_each_option() -> None:
    lines = help_text(Example, "walb-x", "walb x server version 1").splitlines()
    assert lines[:3] == ["walb x server version 1", "", "usage: walb-x -archive HOST:PORT [OPTIONS]"]
    assert "  -archive HOST:PORT : primary archive (must)" in lines
    assert "  -ka : TCP keep-alive instead of read and write time-outs" in lines
    assert any(line.startswith("  -p PORT : ") and line.endswith("(default 5000)") for line in lines)


def test_the_dump_tells_what_was_set_and_what_is_default() -> None:
    dump = parse(Example, [*MUST, "-p", "7", "-proxy", "a:1,b:2", "-ka"]).dump()
    assert {"p=7 (set)", "fg=2 (default)", "proxy=a:1,b:2 (set)", "ka=1 (set)", "debug=0 (default)"} <= set(dump)
