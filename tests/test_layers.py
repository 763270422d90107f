"""Dependencies point downward only (docs/architecture.md); an import that breaks this fails here."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# What the modules of each folder may import from the project, besides their own folder.
BASE = {"model", "version", "_core"}
FORMATS = BASE | {"world", "wlog", "wdiff"}
MAY_IMPORT = {
    "version": set[str](),
    "model": set[str](),
    "world": BASE,
    "wlog": BASE | {"world"},
    "wdiff": FORMATS,
    "device": FORMATS,
    "image": FORMATS,
    "net": FORMATS | {"device", "image"},
    "server": FORMATS | {"device", "image", "net"},
    "tools": FORMATS | {"device"},
    "storage": FORMATS | {"device", "image", "net", "server"},
    "proxy": FORMATS | {"device", "image", "net", "server"},
    "archive": FORMATS | {"device", "image", "net", "server"},
}
WALBC_MAY_IMPORT = FORMATS | {"device", "net"}


def imported_folders(path: Path) -> Iterator[tuple[str, str]]:
    """(top package, first name below it) of each import of ours in a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            names = [node.module + "." + alias.name for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] in ("walbd", "walbc"):
                yield parts[0], parts[1]


@pytest.mark.parametrize("folder", sorted(MAY_IMPORT))
def test_a_folder_imports_only_from_the_layers_below_it(folder: str) -> None:
    place = ROOT / "walbd" / folder
    for path in place.rglob("*.py") if place.is_dir() else [place.with_suffix(".py")]:
        for package, name in imported_folders(path):
            assert package == "walbd", f"{path.relative_to(ROOT)} imports walbc"
            assert name == folder or name in MAY_IMPORT[folder], f"{path.relative_to(ROOT)} imports {name}"


def test_every_folder_of_walbd_has_a_place_in_the_layers() -> None:
    folders = {path.name for path in (ROOT / "walbd").iterdir() if (path / "__init__.py").exists()}
    assert folders <= set(MAY_IMPORT)


def test_the_names_scripts_import_lie_over_the_library_alone() -> None:
    for path in (*(ROOT / "walb").rglob("*.py"), *(ROOT / "walblib").rglob("*.py")):
        for package, name in imported_folders(path):
            assert (package, name) in {("walbc", "library"), ("walbc", "worker")}, f"{path} imports {package}.{name}"


def test_the_control_command_imports_no_daemon() -> None:
    for path in (ROOT / "walbc").rglob("*.py"):
        for package, name in imported_folders(path):
            assert package == "walbc" or name in WALBC_MAY_IMPORT, f"{path.relative_to(ROOT)} imports {name}"
