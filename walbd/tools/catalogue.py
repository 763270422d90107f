"""All tools: for `walb-tools` and for the manual docs/tools.md."""

from __future__ import annotations

import textwrap

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
from walbd.tools.tool import DONE, FAILED, INTERRUPTED, Tool, run_tool
from walbd.world.command_line import Arguments

_MODULES = (
    wldev_info, wdev_redo, wlog_show, wlog_cat, wlog_redo, wlog_restore, wlog_to_wdiff, wdiff_show, wdiff_merge,
    wdiff_redo, wdiff_full, virt_full_cat, bdiff, bhash,
)  # fmt: skip
TOOLS = tuple(module.TOOL for module in _MODULES)

_INTRODUCTION = f"""\
# Tools for logs and diffs

Programs to look at, convert and apply the data files of WalB, under the names and options of the reference's. (This
page is made from the programs' tables: `python -m walbd.tools.catalogue > docs/tools.md`.) `walb-tools` lists them,
`TOOL -h` shows the options of one.

- An option is `-name`, its value the next word; a list takes all words up to the next option. Options may stand
  anywhere, the last of a name wins. Numbers are decimal, perhaps with `k m g` (powers of 1000) or `K M G` (powers of
  1024) at the end, or `0x` and hexadecimal digits. LB are blocks of 512 bytes, lsids count physical blocks of the log.
- `-` is standard input or output. An input that must be read at several places comes through a temporary file when it
  is a pipe.
- An output file appears under its name when it is complete and synced, and not at all after an error; what was there
  before stays until then. An output that is one of the inputs is refused.
- An error is one line on standard error: `YYYY-MM-DD hh:mm:ss.mmm ERROR TOOL:TEXT`, in UTC. A wrong command line is
  answered on standard output with `OptionError:REASON` and the help. Damaged input is always an error.
- Long work shows a bar when standard error is a terminal.

Exit status: {DONE} success; {FAILED} any error, and what is named below; {INTERRUPTED} after Ctrl-C.
"""
_WIDTH = 120


def _run(_: Arguments) -> int:
    width = max(len(tool.name) for tool in TOOLS)
    for tool in TOOLS:
        print(f"{tool.name:{width}}  {tool.text}")
    return DONE


TOOL = Tool("walb-tools", "", "Lists the tools for logs and diffs.", (), _run)


def _section(tool: Tool) -> str:
    parts = [f"## {tool.name}", f"    {tool.usage()}", tool.text]
    rows = []
    for option in tool.options:
        word = f" {option.value}{'...' * option.is_list}" if option.value else ""
        default = f" (default `{option.default}`)" if option.default is not None else ""
        rows.append(f"| `-{option.name}{word}` | {option.text}{default}{'; required' if option.is_necessary else ''} |")
    if rows:
        parts.append("\n".join(["| Option | Meaning |", "|:--|:--|", *rows]))
    parts += (textwrap.fill(note, _WIDTH, break_on_hyphens=False) for note in tool.notes)
    if tool.statuses:
        parts.append(f"Exit status {FAILED} also for: {tool.statuses}.")
    return "\n\n".join(parts)


def page() -> str:
    """The manual."""
    return "\n".join([_INTRODUCTION, "\n\n".join(_section(tool) for tool in TOOLS), ""])


def main() -> int:
    """Entry point of walb-tools."""
    return run_tool(TOOL)


if __name__ == "__main__":
    print(page(), end="")
