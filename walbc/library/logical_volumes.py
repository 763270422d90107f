"""Block devices and logical volumes at a host, as the 2014 library handled them (python-library.md section 4)."""

from __future__ import annotations

import time

from walbc.library.constants import Lbs, Mebi
from walbc.library.failure import ControlError
from walbc.library.local import RunCommand, exists_file, run_local_command
from walbc.library.verify import verify_type, verify_u64

_REMOVE_ATTEMPTS = 3
_REMOVE_RETRY_SEC = 1.0


def flush_bufs(bdevPath: str, runCommand: RunCommand = run_local_command) -> None:
    """Drops the kernel's cached blocks of a block device after writing them."""
    verify_type(bdevPath, str)
    runCommand(["/sbin/blockdev", "--flushbufs", bdevPath])


wait_for_lv_ready = flush_bufs


def zero_clear(bdevPath: str, offsetLb: int, sizeLb: int, runCommand: RunCommand = run_local_command) -> None:
    """Fills blocks of 512 bytes with zeros."""
    verify_u64(offsetLb)
    verify_u64(sizeLb)
    target = [f"of={bdevPath}", f"bs={Lbs}", f"seek={offsetLb}", f"count={sizeLb}"]
    runCommand(["/bin/dd", "if=/dev/zero", *target, "conv=fdatasync"])


def get_lv_size(lvPath: str, runCommand: RunCommand = run_local_command) -> int:
    """Bytes of a logical volume."""
    verify_type(lvPath, str)
    answer = runCommand(["/sbin/lvdisplay", "-C", "--noheadings", "-o", "lv_size", "--units", "b", lvPath])
    return int(answer.strip().rstrip("Bb"))


def get_lv_size_mb(lvPath: str, runCommand: RunCommand = run_local_command) -> int:
    """MiB of a logical volume. Raises ControlError when that is not whole."""
    size_bytes = get_lv_size(lvPath, runCommand)
    if size_bytes % Mebi:
        raise ControlError("get_lv_size_mb: not multiple of MiB", lvPath, size_bytes)
    return size_bytes // Mebi


def resize_lv(
    lvPath: str, curSizeMb: int, newSizeMb: int, doZeroClear: bool, runCommand: RunCommand = run_local_command
) -> None:
    """Changes the size of a logical volume; doZeroClear fills what was added."""
    verify_u64(curSizeMb)
    verify_u64(newSizeMb)
    verify_type(doZeroClear, bool)
    if curSizeMb == newSizeMb:
        return
    runCommand(["/sbin/lvresize", "-f", "-L", f"{newSizeMb}m", lvPath])
    if curSizeMb < newSizeMb and doZeroClear:
        zero_clear(lvPath, curSizeMb * Mebi // Lbs, (newSizeMb - curSizeMb) * Mebi // Lbs, runCommand)
    flush_bufs(lvPath, runCommand)


def remove_lv(lvPath: str, runCommand: RunCommand = run_local_command) -> None:
    """Removes a logical volume, in up to three attempts. Raises ControlError."""
    flush_bufs(lvPath, runCommand)
    for _ in range(_REMOVE_ATTEMPTS):
        try:
            runCommand(["/sbin/lvremove", "-f", lvPath])
            return
        except Exception:  # whatever a RunCommand raises
            if not exists_file(lvPath, runCommand):
                return
            time.sleep(_REMOVE_RETRY_SEC)
    raise ControlError("remove_lv:timeout", lvPath)
