"""What every other test in here relies on: the kernel's device mapper, LVM and file systems work."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.vm.inside.disks import LoopDevices, run


def test_a_volume_group_gives_thick_and_thin_snapshots(loops: LoopDevices) -> None:
    device = loops.add(256 << 20)
    run("pvcreate", "-ff", "-y", device)
    run("vgcreate", "vg0", device)
    try:
        run("lvcreate", "-y", "-n", "thick", "-L", "16m", "vg0")
        run("lvcreate", "-y", "-s", "-n", "copy", "-L", "8m", "vg0/thick")
        run("lvcreate", "-y", "--type", "thin-pool", "-n", "pool", "-L", "64m", "vg0")
        run("lvcreate", "-y", "-n", "thin", "-V", "32m", "--thinpool", "pool", "vg0")
        report = json.loads(run("lvs", "--reportformat", "json", "-o", "lv_name", "vg0"))
        names = {volume["lv_name"] for volume in report["report"][0]["lv"]}
        assert {"thick", "copy", "pool", "thin"} <= names
    finally:
        run("vgremove", "-f", "-y", "vg0")


def test_a_file_system_is_made_and_mounted(loops: LoopDevices, tmp_path: Path) -> None:
    device = loops.add(32 << 20)
    run("mkfs.ext4", "-q", device)
    run("mount", device, str(tmp_path))
    try:
        (tmp_path / "file").write_bytes(b"content")
    finally:
        run("umount", str(tmp_path))
    assert subprocess.run(["e2fsck", "-f", "-n", device], capture_output=True, check=False).returncode == 0


def test_there_is_an_nbd_device() -> None:
    assert Path("/dev/nbd0").is_block_device()
