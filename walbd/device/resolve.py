"""One resolver for every place where a device is named: NAME, /dev/walb/NAME, or the path of a control socket."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from walbd.device.control import CONTROL_SUFFIX
from walbd.device.device import AdministeredDevice
from walbd.device.kernel_device import NODE_FOLDER, KernelDevice
from walbd.device.user_device import UserDevice
from walbd.model.error import InvalidArgument, NotFound
from walbd.model.limits import check_device_name


def resolve_device(spec: str, socket_dir: Path | str) -> AdministeredDevice:
    """The device of that name. A user-space device with a control socket in socket_dir goes before a node of the kernel
    driver (attaching a user-space device makes such a node too). Raises NotFound and InvalidArgument."""
    path = Path(spec)
    if spec.endswith(CONTROL_SUFFIX) and path.is_absolute():
        check_device_name(path.name.removesuffix(CONTROL_SUFFIX))
        if not _is_socket(path):
            raise NotFound(f"no walb device at {spec}", "is walb-device running?")
        return UserDevice(path)
    if path.is_absolute() and path.parent != NODE_FOLDER:
        raise InvalidArgument(
            f"no walb device: {spec}",
            f"write NAME, {NODE_FOLDER / 'NAME'} or the path of a control socket (*{CONTROL_SUFFIX})",
        )
    name = check_device_name(path.name if path.parent == NODE_FOLDER else spec)
    control = Path(socket_dir) / f"{name}{CONTROL_SUFFIX}"
    if _is_socket(control):
        return UserDevice(control)
    node = NODE_FOLDER / name
    if node.is_symlink():
        raise NotFound(f"the server of walb device {name} is not running", "start walb-device; its I/O waits for that")
    if node.exists():
        return KernelDevice(name)
    raise NotFound(f"no walb device {name}", f"neither {control} nor {node} is there; start it, or name -s")


def device_key(spec: str, socket_dir: Path | str) -> str:
    """The same for all ways to name one device, and different for two devices. Looks at links only."""
    control = spec if spec.endswith(CONTROL_SUFFIX) else str(Path(socket_dir) / f"{Path(spec).name}{CONTROL_SUFFIX}")
    return os.path.realpath(control)


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        return False
