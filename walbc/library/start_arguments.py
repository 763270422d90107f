"""Command lines that start servers (python-library.md section 7)."""

from __future__ import annotations

from walbc.library.constants import K_ARCHIVE, K_PROXY, K_STORAGE
from walbc.library.failure import ControlError
from walbc.library.servers import ServerLayout, ServerStartupParam
from walbc.library.texts import server_kind_to_str
from walbc.library.verify import verify_type, verify_u64

REPEATER_PORT_OFFSET = 10000
ServerOptions = dict[str, str | list[str] | None]


def get_server_params(
    s: ServerStartupParam,
    sLayout: ServerLayout | None = None,
    isDebug: bool = False,
    useRepeater: bool = False,
    maxFgTasks: int = 2,
    maxBgTasks: int = 1,
    maxConn: int | None = None,
    timeoutS: int | None = None,
) -> ServerOptions:
    """Option names without the dash and their values; None is a flag, a list several values. A storage needs the
    layout. useRepeater: a repeater listens on the server's port, and the server on that plus 10000."""
    verify_type(s, ServerStartupParam)
    verify_type(sLayout, ServerLayout, allowNone=True)
    options = _group_options(s, sLayout)
    options |= {
        "p": str(s.port + (REPEATER_PORT_OFFSET if useRepeater else 0)),
        "b": s.dataDir,
        "l": s.logPath or f"{s.dataDir}/{s.name}.log",
        "id": s.name,
        "fg": str(maxFgTasks),
    }
    if s.kind != K_ARCHIVE:
        options["bg"] = str(maxBgTasks)
    for name, value in (("maxconn", maxConn), ("to", timeoutS)):
        verify_u64(value, allowNone=True)
        if value is not None:
            options[name] = str(value)
    if isDebug:
        options["debug"] = None
    return options


def _group_options(s: ServerStartupParam, sLayout: ServerLayout | None) -> ServerOptions:
    if s.kind == K_STORAGE:
        if sLayout is None:
            raise ControlError("get_server_params: a storage needs the layout", s.name)
        sLayout.verify(0, 1, 1)
        proxies = ",".join(proxy.get_host_port() for proxy in sLayout.proxyL)
        return {"archive": sLayout.get_primary_archive().get_host_port(), "proxy": proxies}
    if s.kind == K_PROXY:
        return {}
    lvm = {"vg": s.vg, "tp": s.tp}
    return {name: value for name, value in lvm.items() if value}


def dict2args(d: ServerOptions) -> list[str]:
    """`-key value ...` of option names and values."""
    verify_type(d, dict)
    words: list[str] = []
    for name, value in d.items():
        words.append(f"-{name}")
        if isinstance(value, list):
            words += value
        elif value is not None:
            words.append(value)
    return words


def program_path(s: ServerStartupParam) -> str:
    """`BINDIR/walb-KIND`."""
    return f"{s.binDir.rstrip('/')}/walb-{server_kind_to_str(s.kind)}"


def get_server_args(
    s: ServerStartupParam,
    sLayout: ServerLayout | None = None,
    isDebug: bool = False,
    useRepeater: bool = False,
    maxFgTasks: int = 2,
    maxBgTasks: int = 1,
) -> list[str]:
    """The whole command line of a server."""
    options = get_server_params(s, sLayout, isDebug, useRepeater, maxFgTasks, maxBgTasks)
    return [program_path(s), *dict2args(options)]
