"""All tools, and `walb-tools`, which lists them."""

from __future__ import annotations

from walbd.tools import (
    bdiff,
    bhash,
    virt_full_cat,
    wdev_redo,
    wdiff_full,
    wdiff_merge,
    wdiff_redo,
    wdiff_show,
    wldev_info,
    wlog_cat,
    wlog_redo,
    wlog_restore,
    wlog_show,
    wlog_to_wdiff,
)
from walbd.tools.tool import DONE, Tool, run_tool
from walbd.world.command_line import Arguments

_MODULES = (
    wldev_info, wdev_redo, wlog_show, wlog_cat, wlog_redo, wlog_restore, wlog_to_wdiff, wdiff_show, wdiff_merge,
    wdiff_redo, wdiff_full, virt_full_cat, bdiff, bhash,
)  # fmt: skip
TOOLS = tuple(module.TOOL for module in _MODULES)


def _run(_: Arguments) -> int:
    width = max(len(tool.name) for tool in TOOLS)
    for tool in TOOLS:
        print(f"{tool.name:{width}}  {tool.text}")
    return DONE


TOOL = Tool("walb-tools", "", "Lists the tools for logs and diffs.", (), _run)


def main() -> int:
    """Entry point of walb-tools."""
    return run_tool(TOOL)
