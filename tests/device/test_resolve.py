"""One device, many ways to name it."""

from __future__ import annotations

from pathlib import Path

from walbd.device.resolve import device_key


def test_all_names_of_a_device_have_one_key_and_two_devices_have_two(tmp_path: Path) -> None:
    folder, alias = tmp_path / "sockets", tmp_path / "alias"
    folder.mkdir()
    alias.symlink_to(folder)
    names = [
        "w0",
        "/dev/walb/w0",
        "/dev/walb/./w0",
        f"{folder}/w0.ctl",
        f"{alias}/w0.ctl",
        f"{folder}/../sockets/w0.ctl",
    ]
    assert len({device_key(name, folder) for name in names}) == 1
    others = ["w0", "w1", f"{tmp_path}/w0.ctl", f"{tmp_path}/w1.ctl"]
    assert len({device_key(name, folder) for name in others}) == 4
