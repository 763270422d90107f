"""The pages of the tools for logs and diffs, made from their tables."""

from __future__ import annotations

import re

from scripts.reference import markdown
from scripts.reference.markdown import block, filled, options_table, see_also, table
from walbd.tools.catalogue import TOOL, TOOLS
from walbd.tools.tool import DONE, FAILED, INTERRUPTED, Tool

_CONVENTIONS = """
Programs to look at, convert and apply the data files of WalB, under the names and options of the reference's.
`walb-tools` lists them, `TOOL -h` shows the options of one.

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
"""
_STATUSES = {DONE: "success", FAILED: "any error", INTERRUPTED: "Ctrl-C"}
_VARIABLES = (("`TMPDIR`", "folder of temporary files"),)


def pages() -> list[str]:
    """The page of walb-tools, which has what all tools have in common, and one for each tool."""
    return [_common_page(), *map(_page, TOOLS)]


def _common_page() -> str:
    rows = ((f"[{tool.name}]({tool.name}.md)", tool.text.rstrip(".")) for tool in TOOLS)
    sections = {
        "Synopsis": block(TOOL.usage(), "TOOL [OPTIONS] [WORDS]"),
        "Description": _CONVENTIONS,
        "Tools": table(("Tool", "Meaning"), rows),
        "Options": options_table(TOOL.all_options),
        "Exit status": _statuses(TOOL),
        "Environment": table(("Variable", "Meaning"), _VARIABLES),
        "See also": see_also("walb", *(tool.name for tool in TOOLS)),
    }
    return markdown.page("walb-tools(1): lists the tools for logs and diffs", sections)


def _page(tool: Tool) -> str:
    sections = {
        "Synopsis": block(tool.usage()),
        "Description": "\n\n".join([tool.text, *map(filled, tool.notes)]),
        "Options": options_table(tool.all_options),
        "Exit status": _statuses(tool),
        "See also": "[walb-tools](walb-tools.md): numbers, standard input and output, errors.",
    }
    return markdown.page(f"{tool.name}(1): {_purpose(tool.text)}", sections)


def _purpose(text: str) -> str:
    """The first clause of a text."""
    clause = re.split("[.:;,(]", text)[0].strip()
    return clause[0].lower() + clause[1:]


def _statuses(tool: Tool) -> str:
    rows = [(str(status), text) for status, text in _STATUSES.items()]
    if tool.statuses:
        rows[FAILED] = (str(FAILED), f"{_STATUSES[FAILED]}; {tool.statuses}")
    return table(("Status", "Meaning"), rows)
