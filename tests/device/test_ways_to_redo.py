"""A pair left by a killed server becomes one and the same image however its log is redone."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.device.walb_devices import Pair, RawClient, Server
from walbd.device import nbd_protocol as nbd

N_ACKNOWLEDGED = 150


def run_tool(name: str, *words: object) -> None:
    subprocess.run([Path(sys.executable).parent / name, *map(str, words)], check=True, capture_output=True)


def kill_under_load(pair: Pair, rng: random.Random) -> None:
    """Writes, discards and zeroes, with flushes in between, until the server is killed in the midst of more."""
    with Server(pair).wait_ready() as server:
        client = RawClient(server.nbd_path)
        for cookie in range(N_ACKNOWLEDGED + 30):
            size = rng.randrange(1, 33) * 512
            offset = rng.randrange((pair.size_bytes - size) // 512) * 512
            kind = rng.choice([nbd.CMD_WRITE] * 6 + [nbd.CMD_TRIM, nbd.CMD_WRITE_ZEROES])
            data = rng.randbytes(size) if kind == nbd.CMD_WRITE else b""
            client.request(kind, cookie, offset, size, data, flags=int(rng.random() < 0.1))
            if cookie >= 30:
                client.reply()
        server.kill()
        client.close()


@pytest.mark.parametrize("pbs", [512, 4096])
def test_device_tools_and_shipped_log_agree(pbs: int, tmp_path: Path) -> None:
    pair = Pair(tmp_path, log_bytes=8 << 20, data_bytes=1 << 20, pbs=pbs)
    old = tmp_path / "old"
    shutil.copy(pair.ddev, old)
    kill_under_load(pair, random.Random(pbs))

    ldev, ddev = shutil.copy(pair.ldev, tmp_path / "ldev2"), shutil.copy(pair.ddev, tmp_path / "ddev2")
    run_tool("wdev-redo", ldev, ddev)
    by_tool = Path(ddev).read_bytes()

    with Server(pair).wait_ready() as server:
        with server.client() as client:
            by_device = client.read(0, pair.size_bytes)
        assert server.stop() == 0
    assert pair.ddev.read_bytes() == by_device
    assert by_tool == by_device

    run_tool("wlog-cat", pair.ldev, "-o", tmp_path / "wlog")
    run_tool("wlog-redo", old, "-i", tmp_path / "wlog", "-z")
    assert old.read_bytes() == by_device
    assert by_device != bytes(pair.size_bytes)
