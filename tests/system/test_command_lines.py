"""Command lines of every program: -h, wrong and missing options; exit status and what is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.backup_group import run, run_many
from walbc.commands import COMMANDS

DAEMONS = ("walb-storage", "walb-proxy", "walb-archive")
PROGRAMS = (*DAEMONS, "walbc", "wdevc", "walb-device")
NEEDED = {"walb-storage": ["-archive", "127.0.0.1:1", "-proxy", "127.0.0.1:1"]}
OPTIONS = {
    "walb-storage": "p bind b l debug id maxconn fg to ka bg delay maxdelay archive proxy wl snapintvl fst tsdintvl "
    "sync-cmpr s",
    "walb-proxy": "p bind b l debug id maxconn fg to ka bg delay maxdelay wd wn rto stop",
    "walb-archive": "p bind b l debug id maxconn fg to ka vg tp wn discard fi autoresize keep-one-cold-snap maxopen "
    "maxopen-virt apply-sleep-pct sync-cmpr lock-time-th",
    "walb-device": "n ldev ddev s",
    "walbc": "a p s to id retry debug",
    "wdevc": "",
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_goes_to_stdout_with_status_0_and_names_every_option(program: str) -> None:
    done = run(program, "-h")
    assert done.status == 0 and not done.err
    words = done.out.split()
    assert [name for name in OPTIONS[program].split() if f"-{name}" not in words] == []
    assert program in done.out or program.removeprefix("walb-") in done.out


SYNTAX = {
    "unknown option": ["-nonsense", "1"],
    "missing value": ["-p"],
    "positional argument": ["surplus"],
    "no number": ["-maxconn", "many"],
    "port too large": ["-p", "70000"],
}


@pytest.mark.parametrize("program", DAEMONS)
def test_a_malformed_command_line_is_an_option_error_with_the_help_on_stdout(program: str) -> None:
    for what, ended in run_many({what: [program, *words] for what, words in SYNTAX.items()}).items():
        assert ended.status == 1 and not ended.err, f"{what}: {ended}"
        lines = ended.out.splitlines()
        assert lines[0].startswith("OptionError:"), f"{what}: {lines[0]}"
        assert len([line for line in lines if "Error" in line]) == 1
        assert f"usage: {program}" in ended.out


CONTENT = {
    "node id": ["-id", "a\nb"],
    "no connections": ["-maxconn", "0"],
    "no foreground tasks": ["-fg", "0"],
    "keep-alive": ["-ka", "-kaidle", "86401"],
}
CONTENT_OF = {
    "walb-storage": {
        "empty proxy": ["-proxy", "127.0.0.1:1,"],
        "proxy without port": ["-proxy", "127.0.0.1"],
        "archive port": ["-archive", "127.0.0.1:99999"],
        "no log": ["-wl", "0"],
        "no interval": ["-snapintvl", "0"],
        "compression": ["-sync-cmpr", "zip:0:1"],
        "no workers": ["-bg", "0"],
    },
    "walb-proxy": {"no wdiffs": ["-wn", "0"], "no data": ["-wd", "0"]},
    "walb-archive": {"discard": ["-discard", "sometimes"], "sync": ["-fi", "0"], "sleep": ["-apply-sleep-pct", "100"]},
}


@pytest.mark.parametrize("program", DAEMONS)
def test_a_bad_value_is_one_line_on_stderr(program: str, tmp_path: Path) -> None:
    base = ["-b", str(tmp_path), "-p", "0", *NEEDED.get(program, [])]
    commands = {what: [program, *base, *words] for what, words in {**CONTENT, **CONTENT_OF[program]}.items()}
    for what, ended in run_many(commands).items():
        kind = program.removeprefix("walb-").capitalize()
        assert ended.error.startswith(f"{kind}Server: error: "), f"{what}: {ended.err}"
    assert list(tmp_path.iterdir()) == []


def test_the_storage_needs_archive_and_proxy() -> None:
    for words in ([], ["-archive", "127.0.0.1:1"], ["-proxy", "127.0.0.1:1"]):
        ended = run("walb-storage", *words)
        assert ended.status == 1
        assert ended.out.startswith("OptionError:opt is necessary:")


def test_a_device_needs_name_log_and_data(tmp_path: Path) -> None:
    cases = {
        "nothing": [],
        "only name": ["-n", "x"],
        "unknown": ["-n", "x", "-nonsense"],
        "no data": ["-n", "x", "-ldev", str(tmp_path)],
    }
    for what, ended in run_many({what: ["walb-device", *words] for what, words in cases.items()}).items():
        assert ended.status == 1, what
        assert ended.err.startswith("OptionError:") and "usage: walb-device" in ended.err, what
        assert not ended.out and ended.err.count("\n") == 1, what


def test_a_device_that_cannot_start_says_why_in_one_line(tmp_path: Path) -> None:
    empty, place = tmp_path / "empty", tmp_path / "run"
    empty.write_bytes(bytes(1 << 20))
    files = ["-ldev", str(empty), "-ddev", str(empty), "-s", str(place)]
    cases = {
        "name": ["-n", "../x", *files],
        "missing file": ["-n", "x", "-ldev", str(tmp_path / "none"), "-ddev", str(empty), "-s", str(place)],
        "not formatted": ["-n", "x", *files],
        "socket folder": ["-n", "x", "-ldev", str(empty), "-ddev", str(empty), "-s", str(empty / "below")],
    }
    for what, ended in run_many({what: ["walb-device", *words] for what, words in cases.items()}).items():
        assert ended.error.startswith("walb-device: error: "), f"{what}: {ended.err}"


def test_wdevc_says_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    small, data = tmp_path / "small", tmp_path / "data"
    small.write_bytes(bytes(512))
    data.write_bytes(bytes(1 << 20))
    cases = {
        "missing": ["format-ldev", str(tmp_path / "none"), str(data)],
        "too small": ["format-ldev", str(small), str(data)],
        "no device": ["get-oldest-lsid", "nodevice"],
    }
    for what, ended in run_many({what: ["wdevc", *words] for what, words in cases.items()}).items():
        assert " ERROR wdevc:" in ended.error, what
    for words in ([], ["nonsense"]):
        ended = run("wdevc", *words)
        assert ended.status == 1 and "usage: wdevc" in ended.out and "Traceback" not in ended.err


WALBC = {
    "no server": ["status"],
    "no port": ["-a", "127.0.0.1", "status"],
    "unknown option": ["-nonsense", "status"],
    "bad port": ["-a", "127.0.0.1", "-p", "99999", "status"],
    "missing parameter": ["-a", "127.0.0.1", "-p", "1", "snapshot"],
    "surplus parameter": ["-a", "127.0.0.1", "-p", "1", "snapshot", "v", "w"],
    "no number": ["-a", "127.0.0.1", "-p", "1", "restore", "v", "many"],
}


def test_a_malformed_walbc_command_line_is_an_option_error() -> None:
    for what, ended in run_many({what: ["walbc", *words] for what, words in WALBC.items()}).items():
        assert ended.status == 1, what
        assert ended.error.startswith("OptionError:"), f"{what}: {ended}"


def test_walbc_without_a_command_shows_its_help() -> None:
    ended = run("walbc", "-a", "127.0.0.1", "-p", "1")
    assert ended.status == 1 and "usage: walbc" in ended.out and not ended.err
    assert "did you mean status" in run("walbc", "-a", "127.0.0.1", "-p", "1", "statsu").error


def test_walbc_refuses_what_cannot_be_in_one_line() -> None:
    begin = ["walbc", "-a", "127.0.0.1", "-p", "1", "-retry", "0"]
    cases = {
        "nobody listens": [*begin, "status"],
        "unknown target": [*begin, "get", "nonsense"],
        "bad address": [*begin, "archive-info", "add", "v", "a", "nowhere"],
        "bad compression": [*begin, "archive-info", "add", "v", "a", "127.0.0.1:1", "zip:0:1"],
        "bad role": [*begin, "start", "v", "king"],
        "bad mode": [*begin, "stop", "v", "gently"],
        "bulk too small": [*begin, "full-bkp", "v", "1"],
        "bulk too large": [*begin, "full-bkp", "v", "1g"],
        "bulk uneven": [*begin, "full-bkp", "v", "1000"],
        "empty word": [*begin, "snapshot", ""],
    }
    for what, ended in run_many(cases).items():
        assert " ERROR walbc error: " in ended.error, what


def test_every_command_has_a_help() -> None:
    for name, ended in run_many(
        {name: ["walbc", "-a", "h", "-p", "1", name, "-h"] for name in COMMANDS if name != "exec"}
    ).items():
        assert ended.status == 0 and name in ended.out and not ended.err, name
