"""Commands of LVM through the helper process and through the program: failures, time-outs, a helper that dies."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from walbd.image.lvm import library, runners
from walbd.image.lvm.commands import LvmCommands
from walbd.image.lvm.runners import HelperRunner, ProgramRunner, make_runner
from walbd.model.error import NotFound, StorageFailure

ROOT = Path(__file__).parent.parent.parent
Make = Callable[..., HelperRunner]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes runners with a fake helper; they are closed after the test."""
    monkeypatch.chdir(ROOT)
    made = []

    def helper(mode: str = "echo", timeout_sec: float = 60) -> HelperRunner:
        made.append(HelperRunner(timeout_sec, [sys.executable, "-m", "tests.image.fake_helper", mode]))
        return made[-1]

    yield helper
    for runner in made:
        runner.close()


def test_the_report_of_a_command_comes_back(make: Make) -> None:
    runner = make()
    assert runner.run(["lvs", "vg0"]) == "lvs vg0"
    assert runner.run(["vgs"]) == "vgs"


def test_a_failed_command_carries_the_message_of_lvm(make: Make) -> None:
    with pytest.raises(StorageFailure, match="lvm fail: Volume group is odd"):
        make().run(["fail", "vg0"])


def test_a_command_that_hangs_is_given_up_and_the_next_one_works(make: Make) -> None:
    runner = make(timeout_sec=3)
    with pytest.raises(StorageFailure, match="lvm did not end within 3 s: hang vg0/x") as caught:
        runner.run(["hang", "vg0/x"])
    assert "dmsetup info" in caught.value.hint
    assert runner.run(["lvs"]) == "lvs"


def test_a_helper_that_dies_fails_its_command_and_the_next_one_works(make: Make) -> None:
    runner = make()
    with pytest.raises(StorageFailure, match="the LVM helper process ended unexpectedly: die"):
        runner.run(["die"])
    assert runner.run(["lvs"]) == "lvs"


def test_a_helper_killed_between_commands_fails_one_command_at_most(make: Make) -> None:
    runner = make()
    runner.run(["lvs"])
    assert runner.process
    runner.process.kill()
    runner.process.wait()
    with pytest.raises(StorageFailure, match="ended unexpectedly"):
        runner.run(["lvs"])
    assert runner.run(["lvs"]) == "lvs"


def test_commands_of_many_threads_are_run_one_after_the_other(make: Make) -> None:
    runner, answers = make(), []
    threads = [threading.Thread(target=lambda i=i: answers.append(runner.run(["lvs", str(i)]))) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == sorted(f"lvs {i}" for i in range(20))


def test_closing_ends_the_helper(make: Make) -> None:
    runner = make()
    runner.run(["lvs"])
    process = runner.process
    assert process
    runner.close()
    assert process.poll() == 0


def test_the_program_is_used_where_the_library_is_missing(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runners, "HelperRunner", lambda: make("missing"))
    monkeypatch.setattr(shutil, "which", lambda _: "/sbin/lvm")
    assert isinstance(make_runner(), ProgramRunner)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(NotFound, match="LVM is not installed: no such library") as caught:
        make_runner()
    assert "install lvm2" in caught.value.hint


def program(folder: Path, script: str) -> str:
    path = folder / "lvm"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_the_program_gives_its_report_or_its_message(tmp_path: Path) -> None:
    assert ProgramRunner(program(tmp_path, "echo $*")).run(["lvs", "vg0"]) == "lvs vg0\n"
    failing = ProgramRunner(program(tmp_path, "echo '  No such group.' >&2; exit 5"))
    with pytest.raises(StorageFailure, match=r"lvm vgs: No such group\."):
        failing.run(["vgs"])
    with pytest.raises(StorageFailure, match="did not end within"):
        ProgramRunner(program(tmp_path, "exec sleep 1000"), timeout_sec=0.2).run(["vgs"])
    with pytest.raises(StorageFailure, match="cannot run /nowhere"):
        ProgramRunner("/nowhere").run(["vgs"])


@pytest.mark.skipif(shutil.which("lvm") is None, reason="lvm is not installed (Debian: lvm2)")
@pytest.mark.parametrize("runner_class", [HelperRunner, ProgramRunner])
def test_a_group_that_does_not_exist_is_named(
    runner_class: Callable[[], HelperRunner | ProgramRunner], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runner = runner_class()
    lvm = LvmCommands("no-such-group", lambda: runner)
    lvm.open()
    try:
        with pytest.raises(NotFound, match="volume group does not exist:no-such-group"):
            lvm.group()
        with pytest.raises(StorageFailure, match=r'lvm lvremove: .*Volume group "no-such-group" not found') as caught:
            lvm.remove("x")
        assert "'lvs no-such-group'" in caught.value.hint
    finally:
        lvm.close()


def test_a_library_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "NAME", "libnowhere.so.1")
    with pytest.raises(library.LibraryMissing, match=r"libnowhere\.so\.1"):
        library.Library()
