"""The list of the tools and their entry points."""

from __future__ import annotations

import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from tests.tools.tool_testing import done
from walbd.tools import catalogue
from walbd.tools.catalogue import TOOLS
from walbd.tools.tool import Tool

ROOT = Path(__file__).resolve().parents[2]


def test_every_tool_has_its_entry_point() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    named = {name: place for name, place in scripts.items() if place.startswith("walbd.tools.")}
    assert set(named) == {tool.name for tool in TOOLS} | {"walb-tools"}
    for name, place in named.items():
        module, _, function = place.partition(":")
        assert callable(getattr(import_module(module), function))
        assert import_module(module).TOOL.name == name


def test_walb_tools_lists_them() -> None:
    assert [line.split()[0] for line in done(catalogue.TOOL).lines] == [tool.name for tool in TOOLS]


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_help_names_every_option(tool: Tool) -> None:
    lines = done(tool, "-h").lines
    assert lines[0] == f"usage: {tool.usage()}"
    for option in tool.all_options:
        assert any(line.startswith(f"  -{option.name} ") for line in lines)
