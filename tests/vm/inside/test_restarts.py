"""Only the server is killed, again and again, under a file system at work: nobody above notices."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.device.walb_devices import Pair, Server
from tests.vm.inside.attached import attach, check_ext4, mounted, restarted, wdevc
from tests.vm.inside.disks import run
from tests.vm.inside.file_workload import FileWorkload

NODE = Path("/dev/walb/vol")
MAX_STEPS_BETWEEN_KILLS = 40


@pytest.mark.parametrize("n_kills", [3, pytest.param(20, marks=pytest.mark.long)])
def test_a_file_system_loses_nothing_when_only_the_server_is_killed_under_it(n_kills: int, tmp_path: Path) -> None:
    choose = random.Random(n_kills)
    # The ring is written over many times.
    pair = Pair(tmp_path, log_bytes=8 << 20, data_bytes=64 << 20)
    server = Server(pair).wait_ready()
    attach(pair)
    run("mkfs.ext4", "-q", NODE)
    with mounted(NODE, tmp_path / "mnt") as mount:
        (mount / "lost+found").rmdir()
        with FileWorkload(mount, seed=n_kills) as workload:
            for _ in range(n_kills):
                workload.wait_for_steps(choose.randrange(1, MAX_STEPS_BETWEEN_KILLS))
                server = restarted(server)
            workload.wait_for_steps(1)
        assert workload.error is None
        workload.check()
    check_ext4(NODE)
    with mounted(NODE, tmp_path / "mnt"):
        workload.check()
    with server:
        wdevc(tmp_path, "detach", "vol")
