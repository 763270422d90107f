"""From the Markdown of the pages to man pages: paragraphs, lists, tables, blocks of code, `code`, *emphasis*, links."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence

_WIDTH = 120
# A table is shown as one when this is left for its last column, whose text wraps; others are shown as lists.
_TABLE_COLUMNS, _LAST_COLUMN = 73, 24
_GAP = 3
_PAIR = 2
_ITEM = re.compile(r"(?:[-*]|(\d+\.)) +")
_INLINE = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*|\*([^*\s][^*]*)\*|\[([^\]]+)\]\(([^)]+)\)")
# What stands for something else: `-o PATH`. Not in a variable's name, nor a signal.
_PLACEHOLDER = re.compile(r"(?<![\w$])(?!SIG)[A-Z][A-Z0-9]*(?!\w)")
_ESCAPES = str.maketrans({"\\": "\\e", "-": "\\-", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti"})
_CELL_BORDER = re.compile(r"(?<!\\)\|")


def man_page(name: str, section: str, purpose: str, page: str, sections: Mapping[str, str]) -> str:
    """The man page of a Markdown page. `sections`: those of all pages, for references between them."""
    lines = [
        "'\\\" t",
        '.\\" Made by python -m scripts.reference; do not edit.',
        f'.TH "{_escaped(name)}" "{section}" "" "WalB" "WalB manual"',
        ".nh",
        ".ad l",
        ".SH NAME",
        f"{_escaped(name)} \\- {_escaped(purpose)}",
        *_Writer(sections).blocks(page),
    ]
    return "\n".join(lines) + "\n"


class _Writer:
    def __init__(self, sections: Mapping[str, str]) -> None:
        self._sections = sections

    def blocks(self, page: str) -> Iterator[str]:
        """The lines of everything below the title."""
        heading = ""
        for block in re.split(r"\n\s*\n", page.strip()):
            lines = block.splitlines()
            first = lines[0]
            if first.startswith(("<!--", "# ")):
                continue
            if first.startswith("## "):
                heading = first[3:]
                yield f'.SH "{_escaped(heading.upper())}"'
            elif first.startswith("### "):
                yield f'.SS "{_escaped(first[4:].replace("`", ""))}"'
            elif first.startswith("    ") and heading == "Synopsis":
                for line in lines:
                    yield from (".PP", _guarded(_code(line.strip())))
            elif first.startswith("    "):
                yield from _code_block(lines)
            elif first.startswith("|"):
                yield from self._table(lines)
            elif _ITEM.match(first):
                yield from self._list(lines)
            else:
                yield from (".PP", *self._filled(lines))

    def _list(self, lines: Sequence[str]) -> Iterator[str]:
        items: list[tuple[str, list[str]]] = []
        for line in lines:
            mark = _ITEM.match(line)
            if mark:
                items.append((mark[1] or "\\(bu", [line[mark.end() :]]))
            else:
                items[-1][1].append(line)
        for tag, texts in items:
            yield from (f".IP {tag} 4", *self._filled(texts))

    def _table(self, lines: Sequence[str]) -> Iterator[str]:
        heads, _, *rows = [_cells(line) for line in lines]
        widths = [
            _GAP + max(len(row[column].replace("`", "")) for row in [heads, *rows]) for column in range(len(heads) - 1)
        ]
        if len(heads) > _PAIR and sum(widths) + _LAST_COLUMN <= _TABLE_COLUMNS:
            yield from (
                ".TS",
                f"{'lb ' * len(heads)}",
                f"{'l ' * (len(heads) - 1)}lx .",
                "\t".join(map(_escaped, heads)),
            )
            for row in rows:
                *cells, last = map(self._inline, row)
                yield from ("\t".join([*cells, "T{"]), _guarded(last), "T}")
            yield ".TE"
            return
        for row in rows:
            yield from (".TP", _guarded(self._inline(row[0])), *self._filled([_told(heads[1:], row[1:])]))

    def _filled(self, lines: Sequence[str]) -> Iterator[str]:
        text = self._inline(" ".join(map(str.strip, lines)))
        wrapped = textwrap.wrap(text, _WIDTH, break_on_hyphens=False, break_long_words=False)
        yield from (_guarded(line) + "\\&" * line.endswith((".", "?", "!")) for line in wrapped)

    def _inline(self, text: str) -> str:
        parts, position = [], 0
        for match in _INLINE.finditer(text):
            parts.append(_escaped(text[position : match.start()]))
            code, strong, emphasis, label, target = match.groups()
            if code:
                parts.append(_code(code))
            elif strong:
                parts.append(f"\\fB{self._inline(strong)}\\fR")
            elif emphasis:
                parts.append(f"\\fI{_escaped(emphasis)}\\fR")
            else:
                parts.append(self._link(label, target))
            position = match.end()
        return "".join([*parts, _escaped(text[position:])])

    def _link(self, label: str, target: str) -> str:
        name = target.partition("#")[0].removesuffix(".md")
        if name not in self._sections:
            return self._inline(label)
        reference = f"\\fB{_escaped(name)}\\fR({self._sections[name]})"
        return reference if label.strip("`") == name else f"{self._inline(label)} ({reference})"


def _told(heads: Sequence[str], cells: Sequence[str]) -> str:
    """A row as sentences: what it means first, then what the other columns say."""
    meanings = [cell for head, cell in zip(heads, cells, strict=True) if head in ("Meaning", "Effect")]
    meanings = meanings or [cells[0]] * (len(cells) == 1)
    rest = [f"{head}: {cell}" for head, cell in zip(heads, cells, strict=True) if cell and cell not in meanings]
    return ". ".join([*meanings, *rest]).rstrip(".") + "."


def _code(text: str) -> str:
    """Bold, with placeholders in italics."""
    parts, position = [], 0
    for match in _PLACEHOLDER.finditer(text):
        parts += [("B", text[position : match.start()]), ("I", match[0])]
        position = match.end()
    parts.append(("B", text[position:]))
    return "".join(f"\\f{font}{_escaped(part)}" for font, part in parts if part) + "\\fR"


def _code_block(lines: Sequence[str]) -> Iterator[str]:
    yield from (".PP", ".RS 4", ".nf")
    yield from (_guarded(_escaped(line[4:])) for line in lines)
    yield from (".fi", ".RE")


def _cells(line: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in _CELL_BORDER.split(line.strip())[1:-1]]


def _escaped(text: str) -> str:
    """Every hyphen is one that can be copied and searched."""
    return text.translate(_ESCAPES).replace('"', "\\(dq")


def _guarded(line: str) -> str:
    """A line of text is no request."""
    return f"\\&{line}" if line.startswith((".", "'")) else line
