"""Boots User Mode Linux on the host's own root file system and runs a part of the suite inside (docs/testing.md).

UML is a Linux kernel as an ordinary process. It has what the machine's own kernel may lack: device mapper, LVM, NBD.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
MODULES_ROOT = Path("/usr/lib/uml/modules")
MODULES = (
    "ipv6",
    "loop",
    "nbd",
    "dm-mod",
    "dm-snapshot",
    "dm-thin-pool",
    "dm-flakey",
    "dm-log-writes",
    "raid1",
    "ext4",
)
IN_UML = "WALB_IN_UML"
MEMORY = "1G"
BOOT_SEC = 60
PASSED_ON = ("WALB_LONG", "WALB_VECTORS")

INIT = """#!/bin/sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmp /run
mkdir -p /run/scratch /run/lock/lvm /run/lvm
ip link set lo up
modprobe -q -a -d {folder}/tree {modules}
cat > /run/lvm/lvm.conf <<'END'
activation {{ udev_sync=0 udev_rules=0 verify_udev_operations=0 monitoring=0 }}
activation {{ reserved_memory=0 reserved_stack=0 process_priority=0 }}
devices {{ dir="/dev" scan=["/dev"] use_devicesfile=0 }}
devices {{ obtain_device_list_from_udev=0 external_device_info_source="none" }}
global {{ use_lvmpolld=0 }}
backup {{ backup=0 archive=0 }}
END
export DM_DISABLE_UDEV=1 MDADM_NO_UDEV=1 LVM_SUPPRESS_FD_WARNINGS=1 LVM_SYSTEM_DIR=/run/lvm
export HOME=/run/scratch TMPDIR=/run/scratch PYTHONDONTWRITEBYTECODE=1 {environment}
cd {root}
{command} >{folder}/output 2>&1 </dev/null
echo $? >{folder}/status
halt -f -p
"""


def reason_to_skip() -> str:
    """Why UML cannot be booted here; empty when it can."""
    if shutil.which("linux.uml") is None or not modules_version():
        return "User Mode Linux is not installed (Debian: user-mode-linux)"
    missing = [program for program in ("depmod", "lvm", "mkfs.ext4") if shutil.which(program) is None]
    if missing:
        return f"{', '.join(missing)} not installed (Debian: kmod lvm2 e2fsprogs)"
    if os.geteuid():
        return "root is needed: inside UML the files of the host keep their owners"
    return ""


def modules_version() -> str:
    """The kernel release of the installed modules; empty when there are none."""
    versions = sorted(path.name for path in MODULES_ROOT.iterdir()) if MODULES_ROOT.is_dir() else []
    return versions[-1] if versions else ""


def copy_modules(tree: Path) -> None:
    """A tree of links to the modules with an index of its own, for modprobe -d."""
    version = modules_version()
    target = tree / "lib" / "modules"
    target.mkdir(parents=True)
    subprocess.run(["cp", "-rs", MODULES_ROOT / version, target], check=True)
    for index in (target / version).glob("modules.dep*"):
        index.unlink()
    subprocess.run(["depmod", "-b", tree, version], check=True)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run inside ended with: the command's exit status (None: it did not get so far), what it printed, and what
    the kernel said."""

    status: int | None
    output: str
    console: str


def run_inside(folder: Path, command: list[str], limit_sec: float) -> Outcome:
    """Boots, runs the command as root in the project's folder and halts. `folder` is an empty one of the caller's, on
    the host; the command sees it too. Whatever happens, no process is left after it."""
    copy_modules(folder / "tree")
    environment = {IN_UML: "1", **{name: os.environ[name] for name in PASSED_ON if name in os.environ}}
    init = folder / "init"
    init.write_text(
        INIT.format(
            modules=" ".join(MODULES),
            folder=folder,
            environment=" ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items()),
            root=ROOT,
            command=shlex.join(command),
        )
    )
    boot(folder, init, limit_sec)
    status, output = folder / "status", folder / "output"
    return Outcome(
        int(status.read_text()) if status.exists() else None,
        output.read_text(errors="replace") if output.exists() else "",
        (folder / "console").read_text(errors="replace"),
    )


def boot(folder: Path, init: Path, limit_sec: float) -> None:
    """Boots with this script as process 1 and returns when it has halted; the console is in folder/console. Whatever
    happens, no process is left after it."""
    init.chmod(0o755)
    command = ["linux.uml", f"mem={MEMORY}", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "rw"]
    command += [f"init={init}", f"uml_dir={folder}/uml/", "con=null", "con0=fd:0,fd:1", "quiet", "panic=-1"]
    with open(folder / "console", "wb") as console:
        # `timeout` bounds it even when this process is killed.
        process = subprocess.Popen(
            ["timeout", "--kill-after=5", str(limit_sec), *command],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            start_new_session=True,
        )
        try:
            process.wait()
        finally:
            _kill_group(process.pid)
            process.wait()


def _kill_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        pass  # everything has ended


def pytest_command(files: list[Path], folder: Path, seed: object, markers: str) -> list[str]:
    """Runs the tests of some files inside, their results as JUnit in folder/junit.xml. What a test has left in its
    temporary folder is memory in there: it goes at once."""
    options = [
        "-p",
        "no:cacheprovider",
        "-o",
        "tmp_path_retention_policy=none",
        f"--randomly-seed={seed}",
        f"--junitxml={folder}/junit.xml",
        "-ra",
        "--durations=12",
    ]
    return [sys.executable, "-m", "pytest", *options, "--timeout=0", "-m", markers, *map(str, files)]
