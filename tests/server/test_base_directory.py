from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.server.server_testing import make_runtime
from walbd.model.error import BadState, InvalidArgument, StorageFailure
from walbd.server.base_directory import BaseDirectory
from walbd.world.files import Files


def opened(path: Path, kind: str = "storage", create: bool = True) -> BaseDirectory:
    return BaseDirectory(Files(), path, kind, create)


def test_the_last_component_is_made_where_that_is_wanted(tmp_path: Path) -> None:
    opened(tmp_path / "s0").close()
    assert (tmp_path / "s0").is_dir()
    with pytest.raises(StorageFailure, match="cannot open the base directory"):
        opened(tmp_path / "a0", "archive", create=False)
    with pytest.raises(StorageFailure, match="its parent must exist"):
        opened(tmp_path / "no" / "s0")


def test_a_second_daemon_cannot_have_it(tmp_path: Path) -> None:
    first = opened(tmp_path)
    with pytest.raises(BadState, match="another daemon uses the base directory"):
        opened(tmp_path)
    first.close()
    opened(tmp_path).close()


@pytest.mark.parametrize(
    ("owner", "mark"), [("storage", "path"), ("storage", "done"), ("proxy", "received"), ("archive", "base")]
)
def test_the_directory_of_another_kind_of_server_is_refused(tmp_path: Path, owner: str, mark: str) -> None:
    (tmp_path / "v0").mkdir()
    (tmp_path / "v0" / mark).touch()
    for kind in {"storage", "proxy", "archive"} - {owner}:
        with pytest.raises(InvalidArgument, match=f"belongs to a walb-{owner}: volume v0"):
            opened(tmp_path, kind)
    opened(tmp_path, owner).close()


def test_a_directory_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StorageFailure, match="cannot create a file"):
            opened(tmp_path)
    finally:
        tmp_path.chmod(0o700)


def test_volumes_are_found_and_strays_are_only_mentioned(tmp_path: Path) -> None:
    for name in ("v1", "v0"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "path").touch()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "state").touch()
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "log").touch()
    (tmp_path / "link").symlink_to(tmp_path / "v0")
    (tmp_path / ".walb-0123").mkdir()
    runtime, lines = make_runtime()
    base = opened(tmp_path)
    assert base.swept == 1
    assert base.volume_names(runtime.log) == ["broken", "v0", "v1"]
    base.close()
    assert [line.rsplit("/", 1)[1] for line in lines] == ["empty", "lost+found"]
