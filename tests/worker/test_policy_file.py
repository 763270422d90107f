"""Policy files: every key of the reference is understood, and what is wrong is told in one line."""

from __future__ import annotations

import datetime
import io
import sys
from pathlib import Path

import pytest

from walbc.worker.main import main, parse_options
from walbc.worker.policy_file import load_config
from walblib.worker import Config, ReplServerConfig, parsePERIOD, parseSIZE_UNIT, parseSuffix

POLICY = f"""\
general:
  addr: 192.168.0.1
  port: 10000
  walbc_path: {sys.executable}
  max_task: 5
  max_replication_task: 2
  kick_interval: 7
  timeout: 30
apply:
  keep_period: 14d
  interval: 10:20:30
merge:
  interval: 30m
  max_nr: 10
  max_size: 1M
  threshold_nr: 5
repl:
  servers:
    repl0:
      addr: 192.168.0.2
      port: 10001
      interval: 3d
      compress: snappy:3:4
      max_merge_size: 5K
      bulk_size: 40
      max_send_size: 2G
      log_name: remote
    repl1:
      addr: 192.168.0.3
      port: 10002
      interval: 2h
      enabled: false
  disabled_volumes: [vol1, vol2]
retention:
  keep: last 48h hourly, 14d daily, 8w weekly
"""


def written(folder: Path, text: str) -> str:
    path = folder / "policy.yaml"
    path.write_text(text)
    return str(path)


def test_every_key_is_understood(tmp_path: Path) -> None:
    warnings: list[str] = []
    config = load_config([written(tmp_path, POLICY)], warnings.append)
    assert warnings == []
    general = config.general
    assert (general.addr, general.port, general.max_task, general.max_replication_task) == ("192.168.0.1", 10000, 5, 2)
    assert (general.kick_interval, general.timeout) == (7, 30)
    assert config.apply_.keep_period == datetime.timedelta(days=14)
    assert config.apply_.interval == datetime.timedelta(hours=10, minutes=20, seconds=30)
    assert (config.merge.max_nr, config.merge.max_size, config.merge.threshold_nr) == (10, 1 << 20, 5)
    (server,) = config.repl.getEnabledList()
    assert (server.name, str(server.compress), server.max_merge_size, server.bulk_size) == (
        "repl0",
        "snappy:3:4",
        "5K",
        "40",
    )
    assert (server.max_send_size, server.log_name) == (2 << 30, "remote")
    assert server.getServerConnectionParam().get_host_port() == "192.168.0.2:10001"
    assert config.repl.disabled_volumes == ["vol1", "vol2"]
    assert [rule.unit for rule in config.retention.keep] == ["hourly", "daily", "weekly"]


def test_a_configuration_prints_as_one_that_says_the_same(tmp_path: Path) -> None:
    config = load_config([written(tmp_path, POLICY)])
    again = Config()
    again.setStr(str(config))
    assert str(again) == str(config)
    assert "keep_period: 1209600" in str(config)


def test_later_files_replace_single_keys(tmp_path: Path) -> None:
    second = tmp_path / "more.yaml"
    second.write_text("merge: {max_nr: 99}\nrepl: {servers: {repl1: {enabled: true}}}\n")
    config = load_config([written(tmp_path, POLICY), str(second)])
    assert (config.merge.max_nr, config.merge.threshold_nr) == (99, 5)
    assert [server.name for server in config.repl.getEnabledList()] == ["repl0", "repl1"]


def test_a_file_may_come_from_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(POLICY.encode())))
    assert load_config(["-"]).general.port == 10000


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("keep_period: 14d", "keep_period: 14y", "10: apply.keep_period: bad value '14y' (hint: expected seconds, "),
        ("max_nr: 10", "max_nr: -1", "14: merge.max_nr: bad value -1 (hint: expected a whole number"),
        ("max_size: 1M", "max_size: much", "15: merge.max_size: bad value 'much' (hint: expected bytes, or digits"),
        ("port: 10001", "port: 70000", "21: repl.servers.repl0.port: bad value 70000 (hint: expected a port"),
        ("snappy:3:4", "zip:3:4", "23: repl.servers.repl0.compress: bad value 'zip:3:4' (hint: expected TYPE:LEVEL"),
        ("enabled: false", "enabled: maybe", "32: repl.servers.repl1.enabled: bad value 'maybe' (hint: expected true"),
        ("48h hourly", "48h often", "35: retention.keep: bad value 'last 48h often, 14d daily, 8w weekly' (hint: "),
        ("apply:", "apply: 5\nother:", "9: apply: 5 is no section (hint: expected keys with values)"),
        ("  addr: 192.168.0.1\n", "", "1: general.addr: GeneralConfig addr is not set (hint: expected the host"),
        ("  interval: 30m\n", "", "12: merge.interval: MergeConfig interval is not set (hint: expected seconds"),
        ("      interval: 3d\n", "", "19: repl.servers.repl0.interval: ReplServerConfig interval is not set"),
        ("merge:", "merge: [", "no YAML: "),
        ("port: 10000", "port: !!python/object:os.system x", "no YAML: "),
        ("[vol1, vol2]", "5", "33: repl.disabled_volumes: bad value 5 (hint: expected a list of volumes)"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_with_file_line_key_and_what_was_expected(
    tmp_path: Path, old: str, new: str, error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert old in POLICY
    path = written(tmp_path, POLICY.replace(old, new, 1))
    assert main(["-f", path, "-dry-run"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"walb-worker: error: {path}:"), err
    assert error in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("old", "new", "warning"),
    [
        ("retention:", "retentoin:", "34: retentoin: unknown, ignored (hint: did you mean retention?)"),
        ("general:", "keep: last 14d daily\ngeneral:", "1: keep: unknown, ignored (hint: write it below retention)"),
        ("  max_nr: 10", "  max_nrs: 10", "14: merge.max_nrs: unknown, ignored (hint: did you mean max_nr"),
        ("log_name:", "colour:", "27: repl.servers.repl0.colour: unknown, ignored (hint: known are addr port interval"),
    ],
)
def test_a_key_that_is_not_known_is_ignored_and_told(tmp_path: Path, old: str, new: str, warning: str) -> None:
    warnings: list[str] = []
    path = written(tmp_path, POLICY.replace(old, new, 1))
    assert load_config([path], warnings.append).general.port == 10000
    assert len(warnings) == 1
    assert warnings[0].startswith(f"{path}:{warning}")


def test_a_file_without_sections_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, "all of it\n")
    assert main(["-f", path]) == 1
    assert capsys.readouterr().err == (
        f"walb-worker: error: {path}:1: 'all of it' is no section (hint: expected keys with values)\n"
    )


@pytest.mark.parametrize("content", [b"\xff", b"x" * (2 << 20), b"[" * 5000])
def test_what_is_no_policy_file_at_all_is_one_line(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "policy.yaml"
    path.write_bytes(content)
    assert main(["-f", str(path)]) == 1
    assert main(["-f", str(tmp_path / "missing")]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 2
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "first"),
    [
        (["-x"], "option error -x"),
        ([], "set -f option"),
        (["-f"], "option error -f"),
        (["-step", "9"], "option error -step"),
    ],
)  # fmt: skip
def test_a_wrong_command_line_prints_what_is_wrong_and_the_usage(
    words: list[str], first: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 1
    assert capsys.readouterr().out.startswith(f"{first}\nusage: walb-worker -f FILE")


def test_options_of_the_reference_are_understood() -> None:
    options = parse_options(["-f", "a", "-f", "-", "-vv", "-step", "3", "-lifetime", "9", "-no", "--dry-run", "-once"])
    assert (options.files, options.verbosity, options.step, options.lifetime_sec) == (["a", "-"], 2, 3, 9)
    assert (options.runs_tasks, options.is_dry_run, options.is_once) == (False, True, True)


def test_periods_and_sizes() -> None:
    hours = datetime.timedelta(hours=1)
    assert [parsePERIOD(text) for text in (3600, "3600", "60m", "1h", "01:00:00")] == [hours] * 5
    assert parsePERIOD("2w") == parsePERIOD("14d")
    assert [parseSIZE_UNIT(text) for text in (5, "5", "2K", "3M", "1G")] == [5, 5, 2048, 3 << 20, 1 << 30]
    with pytest.raises(Exception) as caught:
        parseSuffix(-5, {"": 1})
    assert caught.value.args == ("parseSuffix:negative value", -5)
    for bad in ("1x", "", "x", None, True, "1 h"):
        with pytest.raises(Exception, match="parseSuffix"):
            parsePERIOD(bad)


def test_a_configuration_is_one_of_a_dictionary_too() -> None:
    config = Config({"repl": {"servers": {"a": {"addr": "h", "port": 1, "interval": 5}}}})
    assert isinstance(config.repl.servers["a"], ReplServerConfig)
    with pytest.raises(Exception, match="GeneralConfig addr is not set"):
        config.verify()
