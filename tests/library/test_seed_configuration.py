"""The configuration operators have had since 2014 runs as it stands; only paths, hosts and ports are put in."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import walb
from demo.group import BIN, HOST, Process, free_port
from walbd.device.nbd_client import NbdClient

MIB = 1 << 20
CONFIGURATION = """\
from walb import *
binDir = '/usr/local/bin/'; wdevcPath = binDir + 'wdevc'; walbcPath = binDir + 'walbc'
def dataPath(s): return '/var/walb/%s/' % s
def logPath(s): return '/var/walb/%s.log' % s
s0 = Server('s0', 'hostS0', 10000, K_STORAGE, binDir, dataPath('s0'), logPath('s0'))
p0 = Server('p0', 'hostP0', 10000, K_PROXY,   binDir, dataPath('p0'), logPath('p0'))
a0 = Server('a0', 'hostA0', 10000, K_ARCHIVE, binDir, dataPath('a0'), logPath('a0'), 'vg0')
sLayout = ServerLayout([s0], [p0], [a0])
walbc = Controller(walbcPath, sLayout, isDebug=True)
' '.join(get_server_args(s0, sLayout))
runCommand = walbc.get_run_remote_command(s0)
wdev0 = Device(0, '/dev/ldev0', '/dev/ddev0', wdevcPath, runCommand)
"""


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="walb-t-"))
    monkeypatch.setenv("WALB_SOCKET_DIR", str(path))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def names(folder: Path) -> dict[str, Any]:
    """What the configuration defines."""
    text = CONFIGURATION.replace("/usr/local/bin/", f"{BIN}/").replace("/var/walb/", f"{folder}/")
    text = text.replace("/dev/ldev0", f"{folder}/ldev0").replace("/dev/ddev0", f"{folder}/ddev0")
    for host in ("hostS0", "hostP0", "hostA0"):
        text = text.replace(f"'{host}', 10000", f"'{HOST}', {free_port()}")
    (folder / "walb-config.py").write_text(text)
    defined: dict[str, Any] = {}
    walb.execfile(str(folder / "walb-config.py"), defined)
    return defined


@pytest.fixture
def started(names: dict[str, Any], folder: Path) -> Iterator[dict[str, Any]]:
    """The same with its servers running and files for its devices."""
    for file, size in (("ldev0", 8 * MIB), ("ddev0", 4 * MIB)):
        with open(folder / file, "wb") as out:
            out.truncate(size)
    with ExitStack() as stack:
        for server in (names["a0"], names["p0"], names["s0"]):
            walb.make_dir(server.dataDir)
            # Not every host of this test has LVM: images are plain files.
            words = [word for word in walb.get_server_args(server, names["sLayout"]) if word not in ("-vg", "vg0")]
            options = ["-allow-exec", "-s", str(folder)] if server is names["s0"] else []
            process = Process([*words, "-bind", HOST, *options], folder / f"{server.name}.out")
            process.start()
            stack.callback(process.stop)
        for server in names["sLayout"].get_all():
            walb.wait_for_server_port(server.address, server.port)
        yield names


def test_the_configuration_runs_and_prints_nothing(names: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert capsys.readouterr() == ("", "")
    words = walb.get_server_args(names["s0"], names["sLayout"])
    assert words[0] == f"{BIN}/walb-storage"
    assert names["wdev0"].path == "/dev/walb/0"


def test_the_documented_first_steps_lead_to_a_backup(started: dict[str, Any], folder: Path) -> None:
    walbc, s0, a0, wdev0 = (started[name] for name in ("walbc", "s0", "a0", "wdev0"))
    wdev0.format_ldev()
    assert not wdev0.exists()
    wdev0.create()
    try:
        assert wdev0.exists()
        walbc.init_storage(s0, "vol0", wdev0.path)
        assert walbc.get_state(s0, "vol0") == "Slave"
        nbd = NbdClient(folder / "0.nbd")
        nbd.write(0, b"x" * 4096)
        nbd.flush()
        nbd.close()
        gid = walbc.full_backup(s0, wdev0, timeoutS=100, block=True)
        assert walbc.get_state(s0, "vol0") == "Master"
        assert walbc.get_restorable(a0, "vol0") == [gid]
        walbc.restore(a0, "vol0", gid)
        assert Path(walbc.get_restored_path(a0, "vol0", gid)).read_bytes() == b"x" * 4096 + bytes(4 * MIB - 4096)
        walbc.del_restored(a0, "vol0", gid)
        walbc.clear_vol(s0, "vol0")
        with open(folder / "ddev0", "r+b") as file:
            file.truncate(8 * MIB)
        wdev0.resize(8)
        assert wdev0.get_size_mb() == 8
        wdev0.reset()
    finally:
        wdev0.delete()
    assert not wdev0.exists()
