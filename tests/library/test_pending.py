"""Operations whose commands a server may not have: each asks the server first, and is skipped with that reason."""

from __future__ import annotations

from pathlib import Path

import pytest

import walblib
from tests.library.conftest import MIB, Site


def require(site: Site, server: walblib.ServerStartupParam, *words: str) -> None:
    """Skips the test when the server does not know a command or target. The words are refused by one that does."""
    try:
        site.walbc.run_ctl(server, words, quietErr=True)
    except walblib.CommandError as error:
        for reason in ("bad protocol", "no such target"):
            if reason in error.stderr:
                pytest.skip(f"{server.name} does not know {words[0]}: {error.stderr}")


def test_a_hash_backup_sends_what_differs_and_ships_again(target: Site) -> None:
    require(target, target.s0, "hash-bkp", "no-such-volume")
    require(target, target.a0, "get", "cold", "no-such-volume")
    walbc, vol = target.walbc, target.vol
    walbc.go_standby(target.s0, vol)
    target.write(b"h" * 8192, MIB)
    gid = walbc.hash_backup(target.s0, vol, timeoutS=60)
    assert gid is not None
    assert target.restored(target.a0, gid)[MIB : MIB + 8192] == b"h" * 8192
    assert walbc.get_state(target.s0, vol) == "Target"
    target.write(b"i" * 512)
    assert target.restored(target.a0, walbc.snapshot(target.s0, vol, [target.a0]))[:512] == b"i" * 512


def test_a_volume_is_replicated_again_and_again(target: Site) -> None:
    require(target, target.a0, "replicate", "no-such-volume", "gid", "1", "127.0.0.1:1")
    walbc, vol, a0, a1 = target.walbc, target.vol, target.a0, target.a1
    for letter in (b"r", b"s"):
        target.write(letter * 4096)
        gid = walbc.snapshot(target.s0, vol, [a0])
        assert walbc.replicate_once(a0, vol, a1, timeoutS=60) == gid
        assert target.restored(a1, gid) == target.restored(a0, gid)
    assert walbc.get_archive_uuid(a0, vol) == walbc.get_archive_uuid(a1, vol)
    assert walbc.get_state(a1, vol) == "Archived"


def test_a_second_archive_is_kept_up_to_date_by_the_proxy(target: Site) -> None:
    require(target, target.a0, "replicate", "no-such-volume", "gid", "1", "127.0.0.1:1")
    walbc, vol = target.walbc, target.vol
    walbc.replicate(target.a0, vol, target.a1, True, timeoutS=60)
    assert walbc.is_synchronizing(target.a1, vol)
    target.write(b"t" * 4096)
    gid = walbc.snapshot(target.s0, vol, [target.a0, target.a1])
    assert target.restored(target.a1, gid)[:4096] == b"t" * 4096
    walbc.stop_synchronizing(target.a1, vol)
    assert not walbc.is_synchronizing(target.a1, vol)


def test_how_far_a_destination_is_behind_is_told(target: Site) -> None:
    require(target, target.a0, "get", "ts-delta")
    require(target, target.a0, "replicate", "no-such-volume", "gid", "1", "127.0.0.1:1")
    gid = target.walbc.replicate_once(target.a0, target.vol, target.a1, timeoutS=60)
    (line,) = [line for line in target.walbc.get_ts_delta(target.a0) if line["name"] == target.vol]
    assert (line["dest"], int(line["dest_gid"])) == ("a1", gid)


def test_a_volume_grows_everywhere(target: Site) -> None:
    require(target, target.s0, "resize", "no-such-volume", "8m")
    with open(target.wdev.ddev, "r+b") as file:
        file.truncate(8 * MIB)
    target.walbc.resize(target.vol, 8, True)
    assert target.wdev.get_size_mb() == 8
    assert target.walbc.get_vol_size_lb(target.a0, target.vol) == 8 * MIB // 512
    target.write(b"z" * 512, 7 * MIB)
    gid = target.walbc.snapshot(target.s0, target.vol, [target.a0])
    assert target.restored(target.a0, gid)[7 * MIB :][:512] == b"z" * 512


def test_a_cold_snapshot_that_is_not_there_cannot_be_deleted(target: Site, capsys: pytest.CaptureFixture[str]) -> None:
    require(target, target.a0, "del-cold", "no-such-volume", "0")
    assert target.walbc.get_cold(target.a0, target.vol) == []
    target.walbc.del_cold(target.a0, target.vol, 99999)  # the second attempt finds it gone
    assert "del-cold retry 0" in capsys.readouterr().out


def test_an_image_is_scanned_to_a_file_by_the_program(target: Site, tmp_path: Path) -> None:
    gid = target.walbc.get_latest_clean_snapshot(target.a0, target.vol)
    out = tmp_path / "image"
    try:
        target.walbc.run_ctl(target.a0, ["virt-full-scan", str(out), target.vol, str(gid)], quietErr=True)
    except walblib.CommandError as error:
        pytest.skip(f"walbc does not know virt-full-scan: {error}")
    assert out.read_bytes() == target.restored(target.a0, gid)
