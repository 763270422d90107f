"""The command line: what is accepted, what is refused and how."""

from __future__ import annotations

import pytest

from walbc.commands import COMMANDS
from walbc.options import Printout, Request, parse
from walbc.table import OptionError
from walbd.archive.states import RULES as ARCHIVE
from walbd.model.address import Address
from walbd.model.error import InvalidArgument, one_line
from walbd.proxy.states import RULES as PROXY
from walbd.server.command_rules import Answer
from walbd.storage.states import RULES as STORAGE

SERVER = ["-a", "host1", "-p", "10000"]


def request(*words: str) -> Request:
    return parse([*SERVER, *words], {})


def refusal(*words: str) -> str:
    """The reason of an option error, as it is printed before the hint."""
    with pytest.raises(OptionError) as caught:
        parse(words, {})
    return f"OptionError:{one_line(str(caught.value))}"


def test_options_have_their_documented_defaults() -> None:
    got = request("status")
    assert (got.server, got.timeout_sec, got.retries, got.debug, got.wait) == (
        Address("host1", 10000),
        10,
        2,
        False,
        False,
    )


def test_every_global_option_is_understood_and_the_last_occurrence_wins() -> None:
    got = request("-to", "1", "-to", "0x10", "-id", "", "-retry", "1k", "-debug", "-a", "::1", "get", "state", "vol0")
    assert (got.server.host, got.timeout_sec, got.client_id, got.retries, got.debug) == ("::1", 16, "", 1000, True)
    assert got.parameters == ["state", "vol0"]


def test_the_value_of_an_option_is_taken_blindly() -> None:
    assert request("-id", "status", "version").client_id == "status"
    assert request("-id", "-h", "version").client_id == "-h"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["-x", "status"], "OptionError:bad opt:-x"),
        (["-", "status"], "OptionError:bad opt:-"),
        (["--wait", *SERVER, "status"], "OptionError:bad opt:--wait"),
        ([*SERVER, "clear-vol", "vol0", "--json"], "OptionError:bad opt:--json"),
        (["--json", *SERVER, "archive-info", "add", "vol0", "a0", "h:1"], "OptionError:bad opt:--json"),
        ([*SERVER, "status", "-x"], "OptionError:bad opt:-x"),
        ([*SERVER, "status", "-a", "host2"], "OptionError:bad opt:-a"),
        ([*SERVER, "start", "vol0", "--wait"], "OptionError:bad opt:--wait"),
        (["-a", "h", "-p", "70000", "status"], "OptionError:bad value:70000 for -p"),
        (["-a", "h", "-p", "0x10", "status"], "OptionError:bad value:0x10 for -p"),
        (["-a", "h", "-p", "-1", "status"], "OptionError:bad value:-1 for -p"),
        ([*SERVER, "-to", "x", "status"], "OptionError:bad value:x for -to"),
        ([*SERVER, "-to", "1t", "status"], "OptionError:bad value:1t for -to"),
        ([*SERVER, "-to", "10G", "status"], "OptionError:bad value:10G for -to"),
        ([*SERVER, "-retry", "-1", "status"], "OptionError:bad value:-1 for -retry"),
        ([*SERVER, "-id", "a\nb", "status"], "OptionError:bad value:a\\nb for -id"),
        (["status", "-a", "h"], "OptionError:bad opt:-a"),
        (["-a"], "OptionError:bad value:no value for -a"),
        (["-p", "1", "status"], "OptionError:opt is necessary:a"),
        (["-a", "h", "status"], "OptionError:opt is necessary:p"),
        ([*SERVER, "restore", "vol0"], "OptionError:param is necessary:GID"),
        ([*SERVER, "clear-vol"], "OptionError:param is necessary:VOL"),
        ([*SERVER, "exec"], "OptionError:param is necessary:PATH"),
        ([*SERVER, "get", "state"], "OptionError:param is necessary:VOL"),
        ([*SERVER, "archive-info", "add", "vol0", "a0"], "OptionError:param is necessary:HOST:PORT"),
        ([*SERVER, "version", "1"], "OptionError:redundant argVal:1"),
        ([*SERVER, "restore", "vol0", "1", "2"], "OptionError:redundant argVal:2"),
        ([*SERVER, "get", "pid", "1"], "OptionError:redundant argVal:1"),
        ([*SERVER, "restore", "vol0", "-1"], "OptionError:bad value:-1 for GID"),
        ([*SERVER, "restore", "vol0", "1k"], "OptionError:bad value:1k for GID"),
        ([*SERVER, "restore", "vol0", "0x10"], "OptionError:bad value:0x10 for GID"),
        ([*SERVER, "restore", "vol0", str(2**64)], f"OptionError:bad value:{2**64} for GID"),
        ([*SERVER, "full-bkp", "vol0", "1x"], "OptionError:bad value:1x for BULK"),
        ([*SERVER, "full-bkp", "vol0", "1kb"], "OptionError:bad value:1kb for BULK"),
        ([*SERVER, "full-bkp", "vol0", "-4"], "OptionError:bad value:-4 for BULK"),
        ([*SERVER, "sleep", "1.5"], "OptionError:bad value:1.5 for SEC"),
        ([*SERVER, "vol0", "status"], "OptionError:redundant argVal:vol0"),
        ([*SERVER, "statu"], "OptionError:bad command:statu"),
        ([*SERVER, "nothing", "vol0"], "OptionError:bad command:nothing"),
        ([*SERVER, "merge", "vol0", "1"], "OptionError:param is necessary:gid|size"),
        ([*SERVER, "merge", "vol0", "1", "gid", "x"], "OptionError:bad value:x for GIDE|MIB"),
        ([*SERVER, "enable-snapshot", "vol0", "1", "x"], "OptionError:bad value:x for GID"),
        ([*SERVER, "gc-diff", "vol0", "--wait"], "OptionError:bad opt:--wait"),
    ],
)
def test_a_malformed_command_line_is_answered_with_its_reason(words: list[str], line: str) -> None:
    assert refusal(*words) == line


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ([*SERVER, "statu"], "did you mean status or start?"),
        ([*SERVER, "RESTORE", "vol0", "5"], "did you mean restore"),
        ([*SERVER, "xyzzy"], "walbc -h lists options and commands"),
        ([*SERVER, "restore", "vol0"], "usage: walbc restore VOL GID"),
        ([*SERVER, "get", "state"], "usage: walbc get state VOL"),
        ([*SERVER, "restore", "vol0", "x"], "write digits only"),
        (["-p", "x", "status"], "write digits only"),
        (["status"], "or name a server with -s"),
        ([*SERVER, "status", "-to", "5"], "options of the connection stand before the command"),
        ([*SERVER, "vol0", "status"], "parameters stand after the command"),
        ([*SERVER, "snapshot", "vol0", "--wait"], "snapshot is answered when it is done"),
    ],
)
def test_an_option_error_says_what_to_do(words: list[str], hint: str) -> None:
    with pytest.raises(OptionError) as caught:
        parse(words, {})
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["get", "restorble", "vol0"], "did you mean restorable"),
        (["get", "zzz"], "walbc get -h lists them"),
        (["archive-info", "upd", "vol0"], "did you mean update?"),
    ],
)
def test_a_mistyped_target_is_answered_with_what_may_have_been_meant(words: list[str], hint: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        request(*words)
    assert caught.value.hint.startswith(hint)


def test_a_missing_command_prints_the_main_help() -> None:
    with pytest.raises(Printout) as caught:
        parse(SERVER, {})
    assert caught.value.status == 1
    assert caught.value.text.startswith("walbc: WalB control command\n")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["-retry", "1", "start", "vol0"], "The command does not support -retry option:start"),
        (["status", "../x"], "bad volId format: bad character:../x"),
        (["status", "v" * 65], "bad volId format: length 65"),
        (["status", ""], "empty string:0"),
        (["status", "\udcff"], "not UTF-8:0"),
        (["get", "state", "vol_0"], "bad volId format: bad character:vol_0"),
        (["get"], "target not specified"),
        (["get", "nothing"], "name not found:nothing"),
        (["get", "diff", "vol0", "6", "3"], "bad gid range:6:3"),
        (["get", "num-diff", "vol0", "3", "3"], "bad gid range:3:3"),
        (["get", "restorable", "vol0", "foo"], "bad opt:foo"),
        (["get", "exists-diff", "vol0", "3", "2", "4", "5"], "must be gidB <= gidE:3:2"),
        (["get", "exists-diff", "vol0", "2", "3", "5", "4"], "must be gidB <= gidE:5:4"),
        (["get", "meta-state", "vol0", "2"], "bad isApplying parameter. specify 0 or 1.:2"),
        (["get", "num-action", "vol0", "Nap"], "no such action:Nap"),
        (["archive-info"], "form not specified"),
        (["archive-info", "rename", "vol0"], "bad command name:rename"),
        (["archive-info", "get", "vol0", ".a"], "bad archive name:.a"),
        (["archive-info", "add", "vol0", "a0", "host"], "bad address:host"),
        (["archive-info", "add", "vol0", "a0", "host:0"], "port out of range:0"),
        (["archive-info", "add", "vol0", "a0", "host:70000"], "port out of range:70000"),
        (["archive-info", "add", "vol0", "a0", ":1"], "bad host name:"),
        (["archive-info", "add", "vol0", "a0", "h:1", "zip:0:1"], "bad compression:zip:0:1"),
        (["archive-info", "add", "vol0", "a0", "h:1", "gzip:10:1"], "compression level out of range:10"),
        (["archive-info", "add", "vol0", "a0", "h:1", "gzip:1:0"], "number of compression threads out of range:0"),
        (["full-bkp", "vol0", "511"], "too small size:512:511"),
        (["full-bkp", "vol0", "5m"], "too large size:4194304:5242880"),
        (["start", "vol0", "master"], "specify role: target or standby:master"),
        (["stop", "vol0", "foo"], "bad stop mode:foo"),
        (["shutdown", "now"], "bad option:now"),
        (["init-vol", "vol0", "a\nb"], "bad device:a\nb"),
        (["restore", "vol0", "@2026-11-23"], "bad time:2026-11-23"),
        (["merge", "vol0", "5", "gid", "5"], "bad gid range:5:5"),
        (["merge", "vol0", "5", "till", "6"], "bad merge parameter:till"),
        (["resize", "vol0", "1g", "zero"], "bad resize parameter:zero"),
        (["bhash", "vol0", "1", "64k", "1m", "100"], "percentage of time to sleep out of range:100"),
        (["virt-full-scan", "stdout", "vol0", "1", "1"], "too small size:512:1"),
        (["dbg-set-uuid", "vol0", "00"], "bad uuid:00"),
        (["dbg-set-state", "vol0", "Merge"], "bad state:Merge"),
        (["dbg-set-base", "vol0", "5"], "bad state:5"),
    ],
)
def test_a_wrong_content_is_refused_before_connecting(words: list[str], text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        request(*words)
    assert caught.value.message.startswith(text)


@pytest.mark.parametrize(
    "words",
    [
        ["full-bkp", "vol0", "64k"],
        ["full-bkp", "vol0", "4M"],
        ["archive-info", "add", "vol0", "a0", "localhost:10200", "gzip:9:2", "30"],
        ["archive-info", "delete", "vol0", "a0"],
        ["start", "vol0"],
        ["start", "vol0", "standby"],
        ["stop", "vol0", "empty"],
        ["shutdown", "force"],
        ["init-vol", "vol0", "/dev/walb/0"],
        ["reset-vol", "vol0", "17"],
        ["kick", "vol0", "a0"],
        ["get", "restored-path", "vol0", "5"],
        ["get", "exists-diff", "vol0", "2", "3", "4", "5"],
        ["get", "meta-state", "vol0", "1", "9"],
        ["set-full-scan-bps", "1T"],
        ["get", "restorable", "vol0", "all"],
        ["get", "diff", "vol0", "3", "6"],
        ["restore", "vol0", "@2026-11-23T01:02:03"],
        ["merge", "vol0", "5", "gid", "6"],
        ["merge", "vol0", "5", "size", "1"],
        ["resize", "vol0", "1t", "zeroclear"],
        ["disable-snapshot", "vol0", "5", "6", "7"],
        ["virt-full-scan", "stdout", "vol0", "5", "64k", "1m", "10"],
        ["dbg-set-base", "vol0", "<|0|-->|9|>-20261123010500"],
    ],
)
def test_parameters_are_passed_on_as_they_were_typed(words: list[str]) -> None:
    assert request(*words).parameters == words[1:]


@pytest.mark.parametrize(
    "words",
    [
        ["--wait", "restore", "vol0", "5"],
        ["restore", "--wait", "vol0", "5"],
        ["restore", "vol0", "--wait", "5"],
        ["restore", "vol0", "5", "--wait"],
    ],
)
def test_wait_is_accepted_before_and_after_the_command(words: list[str]) -> None:
    got = request(*words)
    assert (got.wait, got.is_shown, got.parameters) == (True, True, ["vol0", "5"])


@pytest.mark.parametrize("words", [["--json", "get", "state", "vol0"], ["get", "state", "vol0", "--json"]])
def test_json_is_accepted_before_and_after_the_command(words: list[str]) -> None:
    got = request(*words)
    assert (got.is_json, got.parameters) == (True, ["state", "vol0"])


def test_every_asynchronous_command_takes_wait() -> None:
    waiting = {name for name, command in COMMANDS.items() if command.waits}
    rules = {row.command for table in (ARCHIVE, STORAGE, PROXY) for row in table.values() if row.answer is Answer.ASYNC}
    assert {*rules & COMMANDS.keys(), "shutdown"} <= waiting


def test_exec_passes_everything_on_but_one_leading_separator() -> None:
    assert request("exec", "---", "/bin/ls", "-h", "--wait", "---").parameters == ["/bin/ls", "-h", "--wait", "---"]
    assert request("exec", "-h").parameters == ["-h"]


def test_a_word_of_dash_and_digit_is_a_value() -> None:
    assert request("kick", "-1").parameters == ["-1"]
