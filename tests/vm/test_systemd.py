"""The installed units under a real systemd with real LVM and NBD devices, inside User Mode Linux."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from installation.debian import SYSTEM_PYTHON
from tests.services.installed import make
from tests.vm.uml import MODULES, boot, copy_modules, reason_to_skip

SYSTEMD = "/lib/systemd/systemd"
HERE = Path(__file__).parent / "systemd"
LIMIT_SEC = 1500
UNITS = ("walb-worker", "walb-storage", "walb-proxy", "walb-archive", "walb-attach@vol0", "walb-device@vol0")

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(2 * LIMIT_SEC),
    pytest.mark.skipif(bool(reason_to_skip()), reason=reason_to_skip()),
    pytest.mark.skipif(not os.path.exists(SYSTEMD), reason="systemd is not installed"),
    # The sandboxes hide /root and /tmp, where this environment and its Python may be.
    pytest.mark.skipif(not os.path.exists(SYSTEM_PYTHON), reason=f"needs {SYSTEM_PYTHON}"),
]


def test_the_units_back_up_restore_survive_and_end_on_real_devices(tmp_path: Path) -> None:
    make("install", f"DESTDIR={tmp_path}/root", "PREFIX=/usr/local", python=SYSTEM_PYTHON)
    copy_modules(tmp_path / "tree")
    (tmp_path / "out").mkdir()
    init = tmp_path / "init"
    text = (HERE / "init").read_text()
    init.write_text(
        text.format(
            folder=tmp_path, prefix=tmp_path / "root/usr/local", modules=" ".join(MODULES), session=HERE / "session"
        )
    )
    boot(tmp_path, init, LIMIT_SEC)
    output = (tmp_path / "out" / "output").read_text(errors="replace")
    assert (tmp_path / "out" / "status").read_text() == "0\n", output
    said = [line[2:] for line in output.splitlines() if line.startswith("= ")]
    assert said == [
        "restored /dev/vg/wr_vol0",
        "archive active port 10200, 1 volumes",
        "proxy active port 10100, 1 volumes",
        "storage active port 10000, 1 volumes",
        "worker active archive 127.0.0.1:10200, 0 tasks running",
        "killed 1",
        "hung 1",
        "refused",
        *(f"{unit} inactive success" for unit in UNITS),
        "mounted /dev/nbd0 ext4",
        "unmounted  success success",
    ]
    journal = (tmp_path / "out" / "journal").read_text(errors="replace")
    assert "cannot open the base directory /var/forest/walb/archive-b" in journal
    assert "Traceback" not in journal
