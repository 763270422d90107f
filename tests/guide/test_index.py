"""Nothing of the guide is left out: by the index, by the tests, by its links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests.guide.page import GUIDE, read_page

INDEX = "README.md"
LINK = re.compile(r"\]\(([^)#]*)(?:#([^)]*))?\)")
PAGES = sorted(path for path in GUIDE.glob("*.md"))


def anchors(text: str) -> Iterator[str]:
    """Of the headings, as GitHub makes them."""
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        yield re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def test_the_index_names_every_page() -> None:
    named = set(re.findall(r"\]\((\w+\.md)\)", (GUIDE / INDEX).read_text()))
    assert named == {path.name for path in PAGES} - {INDEX}


def test_the_tests_play_every_page_with_commands() -> None:
    tests = "".join(
        path.read_text() for path in Path(__file__).parent.glob("test_*.py") if path.name != "test_runner.py"
    )
    played = set(re.findall(r'"(\w+\.md)"', "".join(re.findall(r"play\(.*\)", tests))))
    for name in list(played):
        page = read_page(GUIDE / name)
        while page.begins_where:
            played.add(page.begins_where)
            page = read_page(GUIDE / page.begins_where)
    assert played == {path.name for path in PAGES if read_page(path).steps}


def test_every_link_leads_somewhere() -> None:
    for path in PAGES:
        for file, anchor in LINK.findall(path.read_text()):
            target = (GUIDE / file) if file else path
            assert target.is_file(), f"{path.name}: {file}"
            assert not anchor or anchor in anchors(target.read_text()), f"{path.name}: {file}#{anchor}"


def test_every_page_says_when_it_is_needed_and_how_to_see_that_it_worked() -> None:
    for path in PAGES:
        if path.name != INDEX:
            text = path.read_text()
            assert re.search(r"^When: ", text, re.MULTILINE), path.name
            assert re.search(r"^## See that it (worked|works|is right)$", text, re.MULTILINE), path.name
