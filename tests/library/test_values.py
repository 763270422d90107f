"""Value classes and functions of the library."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import walblib
from walblib import (
    CompressOpt,
    Diff,
    GidInfo,
    MetaState,
    Snapshot,
    SyncOpt,
    create_diff_from_str,
    create_meta_state_from_str,
    create_snapshot_from_str,
)

GIDS = st.integers(0, 2**64 - 1)


@given(GIDS, GIDS)
def test_a_snapshot_is_read_back_as_written(first: int, second: int) -> None:
    snapshot = Snapshot(min(first, second), max(first, second))
    assert create_snapshot_from_str(str(snapshot)) == snapshot
    assert snapshot.isDirty() == (first != second)


@pytest.mark.parametrize("text", ["5", "|5", "|5,|", "|a|", ""])
def test_what_is_no_snapshot_is_refused(text: str) -> None:
    with pytest.raises(Exception, match="Snapshot:bad format"):
        create_snapshot_from_str(text)


def test_a_backward_snapshot_is_refused() -> None:
    with pytest.raises(Exception, match="Snapshot:bad range"):
        create_snapshot_from_str("|6,5|")
    with pytest.raises(TypeError):
        Snapshot(-1, 0)


@pytest.mark.parametrize(
    ("line", "file_name"),
    [
        ("|1|-->|2| M- 2026-11-23T01:02:00 19879", "20261123010200-M--1-2.wdiff"),
        ("|1|-->|5,7| -C 2026-11-23T01:02:00 0", "20261123010200--C-1-1-5-7.wdiff"),
    ],
)
def test_a_diff_is_read_back_as_written_and_knows_its_file(line: str, file_name: str) -> None:
    diff = create_diff_from_str(line)
    diff.verify()
    assert str(diff) == line
    assert diff.genFileName() == file_name
    assert diff == create_diff_from_str(line)
    diff.dataSize += 1
    assert diff != create_diff_from_str(line)


@pytest.mark.parametrize("line", ["", "|1|-->|2| M-", "|1|-->|2| XX 2026-11-23T01:02:00 1", "|1| M- x 1"])
def test_what_is_no_diff_is_refused(line: str) -> None:
    with pytest.raises(Exception, match="Diff:bad format"):
        create_diff_from_str(line)


def test_a_diff_without_progress_is_refused_when_asked() -> None:
    with pytest.raises(Exception, match="Diff:bad progress"):
        Diff(Snapshot(5, 5), Snapshot(5, 5)).verify()


@pytest.mark.parametrize("text", ["<|5|>-20261123010300", "<|0|-->|9|>-20261123010500", "<|0,3|-->|9|>-20261123010500"])
def test_the_state_of_a_base_image_is_read_back_as_written(text: str) -> None:
    state = create_meta_state_from_str(text)
    assert str(state) == text
    assert state.is_applying() == ("-->" in text)
    later = create_meta_state_from_str(text)
    later.ts += datetime.timedelta(1)
    assert later == state


def test_what_is_no_state_is_refused() -> None:
    with pytest.raises(Exception, match="create_meta_state_from_str:bad format"):
        create_meta_state_from_str("<|5|>")
    with pytest.raises(Exception, match="bad MetaState"):
        MetaState(Snapshot(5, 5), Snapshot(5, 5)).verify()


def test_restorable_lines_of_both_times() -> None:
    for line in ("5 2026-11-23T01:03:00 1", "5 2026-11-23T01:03:00 0", "5 2026-11-23T01:03:00"):
        assert str(GidInfo(line)) == line
    with pytest.raises(Exception, match="GidInfo:bad format"):
        GidInfo("5")


def test_compression_and_options_of_transfers() -> None:
    option = CompressOpt()
    assert str(option) == "snappy:0:1"
    option.parse("zstd:3:2")
    assert (option.kind, option.level, option.nrCpu) == (walblib.CMPR_ZSTD, 3, 2)
    options = SyncOpt(option, 5, "2G", "1M")
    assert options.getArchiveInfoArgs() == ["zstd:3:2", "5"]
    assert options.getReplicateArgs() == ["zstd:3:2", "2G", "1M"]
    assert str(options) == "cmpr=zstd:3:2 merge=2G bulk=1M"
    for bad, message in (
        ("zstd", "parse failed"),
        ("zip:0:1", "bad kind"),
        ("gzip:10:1", "bad level"),
        ("gzip:1:0", "nrCpu"),
    ):
        with pytest.raises(Exception, match=message):
            CompressOpt().parse(bad)


def test_sizes_with_units_are_checked_to_their_end() -> None:
    walblib.verify_size_unit("64K")
    for bad in ("64Kx", "", "k", "-1"):
        with pytest.raises(Exception, match="bad size unit"):
            walblib.verify_size_unit(bad)


def test_ltsv_without_a_colon_is_refused() -> None:
    assert walblib.parse_ltsv("name:v\tts:2026-01-01T00:00:00") == {"name": "v", "ts": "2026-01-01T00:00:00"}
    with pytest.raises(Exception, match="parse error: not found ':'"):
        walblib.parse_ltsv("name")


def test_types_are_checked_by_one_function() -> None:
    walblib.verify_type([1], list, int)
    walblib.verify_type(None, str, allowNone=True)
    for args in ((None, str), (1, str), ([1], list, str)):
        with pytest.raises(TypeError):
            walblib.verify_type(*args)  # type: ignore[arg-type]


def test_a_server_without_a_log_path_can_be_printed() -> None:
    connection = walblib.ServerConnectionParam("a0", "h", 1, walblib.K_ARCHIVE)
    assert str(walblib.ServerStartupParam(connection, "/bin/", "/d")) == "a0, h, 1, archive, /bin/, /d, "
    assert connection == walblib.ServerConnectionParam("a0", "h", 1, walblib.K_ARCHIVE)
    with pytest.raises(Exception, match="get_server:not one"):
        walblib.get_server("x", [connection])


def test_execfile_defines_names_where_it_is_called(tmp_path: Path) -> None:
    path = tmp_path / "config.py"
    path.write_text("answer_of_the_file = 6 * 7\n")
    walblib.execfile(str(path))
    assert globals().pop("answer_of_the_file") == 42


def test_local_commands_return_their_stdout_or_raise(capfd: pytest.CaptureFixture[str]) -> None:
    assert walblib.run_local_command(["/bin/sh", "-c", "echo ' x '; echo e >&2"]) == "x"
    assert capfd.readouterr().err == "e\n"
    with pytest.raises(walblib.CommandError) as caught:
        walblib.run_local_command(["/bin/sh", "-c", "echo e >&2; exit 3"], quietErr=True)
    assert caught.value.args == ("command error ['/bin/sh', '-c', 'echo e >&2; exit 3'] 3\n",)
    assert capfd.readouterr().err == ""
    with pytest.raises(OSError, match="No such file"):
        walblib.run_local_command(["/no/such/program"])
    assert not walblib.exists_file("/dev/null")
