"""Which files there are, and what each holds."""

from __future__ import annotations

import re
from pathlib import Path

from scripts.reference import daemons, devices, states, tools, walbc, walbc_json, worker
from scripts.reference.markdown import MADE
from scripts.reference.roff import man_page

ROOT = Path(__file__).resolve().parents[2]
PAGES, MAN = Path("docs/reference"), Path("docs/man")
_TITLE = re.compile(r"^# ([\w.-]+)\((\d)\): (.+)$", re.ASCII | re.MULTILINE)
# Other names of programs.
ALIASES = {"walb_worker.py": "walb-worker"}


def made_files() -> dict[Path, str]:
    """Path below the root of the project -> text, of every page that is made."""
    made = made_pages()
    files = {PAGES / f"{_title(page)[0]}.md": page for page in made}
    pages = [*made, *pages_by_hand()]
    sections = {name: section for name, section, _ in map(_title, pages)}
    for page in pages:
        name, section, purpose = _title(page)
        files[MAN / f"{name}.{section}"] = man_page(name, section, purpose, page, sections)
    for alias, name in ALIASES.items():
        files[MAN / f"{alias}.1"] = f".so man1/{name}.1\n"
    return files


def made_pages() -> list[str]:
    """The reference pages made from tables."""
    return [
        walbc.page(),
        walbc_json.page(),
        states.page(),
        worker.page(),
        *daemons.pages(),
        *devices.pages(),
        *tools.pages(),
    ]


def pages_by_hand() -> list[str]:
    """The others."""
    texts = [path.read_text() for path in sorted((ROOT / PAGES).glob("*.md"))]
    return [text for text in texts if not text.startswith(MADE)]


def _title(page: str) -> tuple[str, str, str]:
    """Name, section and purpose."""
    match = _TITLE.search(page)
    if not match:
        raise ValueError(f"a page without a title `# NAME(SECTION): PURPOSE`: {page[:80]}")
    return match[1], match[2], match[3]
