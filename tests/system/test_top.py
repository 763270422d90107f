"""One page about a whole group, by the names of a servers file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.backup_group import BackedUpVolume, RelayedGroup, run


def test_top_shows_a_volume_at_all_servers_of_its_group(
    group: RelayedGroup, target: BackedUpVolume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "servers.toml"
    for kind in ("storage", "proxy", "archive"):
        port = getattr(group, kind).port
        with path.open("a") as file:
            file.write(f"[servers.{kind[0]}0]\nhost = '127.0.0.1'\nport = {port}\nkind = '{kind}'\n")
    monkeypatch.setenv("WALBC_CONFIG", str(path))
    done = run("walbc", "top", "--once")
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert "3 servers" in lines[0]
    states = [line.split()[1:3] for line in lines if line.startswith(f"{target.name} ")]
    assert states == [["s0", "Target"], ["p0", "Started"], ["a0", "Archived"]]
    assert not any(target.name in line for line in lines if line.startswith("ALARM"))
    assert run("walbc", "-s", "a0", "get", "state", target.name).out == "Archived\n"
