"""Installing over nothing or an older installation, and uninstalling: exactly what the manifest lists.

The new environment is made beside the old one and takes its place when it is complete.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from installation.failure import Failure
from installation.place import ENVIRONMENT, Place
from installation.tree import InstalledFile, installed_files

MakeEnvironment = Callable[[Path, Path, Path], None]
"""Makes an environment in the first folder, for the second, from the source."""


def install(place: Place, source: Path, make_environment: MakeEnvironment) -> None:
    """Installs; raises Failure when something is in the way, and then has changed nothing."""
    old = _read_manifest(place)
    if old is None and place.environment.exists():
        raise Failure(
            f"{place.environment} is there and was not installed by us: move it away, or choose another PREFIX"
        )
    new_environment = place.environment.with_name(f".{ENVIRONMENT.name}.new")
    shutil.rmtree(new_environment, ignore_errors=True)
    folders = _make_folders(place.root, [ENVIRONMENT.parent])
    try:
        make_environment(new_environment, place.prefix / ENVIRONMENT, source)
        files = list(installed_files(place, source, new_environment))
        _check_free(place, files, old or [])
        folders += _make_folders(place.root, [file.path.parent for file in files])
        known = {line for line in old or [] if line.endswith("/")}
        lines = sorted({str(file.path) for file in files} | {f"{folder}/" for folder in folders} | known)
        (new_environment / place.manifest.name).write_text("".join(f"{line}\n" for line in lines))
    except BaseException:
        shutil.rmtree(new_environment, ignore_errors=True)
        _remove(place.root, [f"{folder}/" for folder in folders])
        raise
    _replace_environment(place, new_environment)
    for file in files:
        write_file(place.root / file.path, file)
    _remove(place.root, [line for line in old or [] if line not in lines])


def uninstall(place: Place) -> None:
    """Removes what was installed; raises Failure when nothing was."""
    lines = _read_manifest(place)
    if lines is None:
        raise Failure(f"nothing is installed below {place.root}: PREFIX and DESTDIR must be those of the installation")
    _remove(place.root, [line for line in lines if not line.endswith("/")])
    # The manifest goes with it, last of all files: an interrupted removal can be repeated.
    shutil.rmtree(place.environment)
    _remove(place.root, lines)


def write_file(path: Path, file: InstalledFile) -> None:
    """At once: a command that is running or started now is the old or the new one."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_bytes(file.content)
    temporary.chmod(file.mode)
    temporary.rename(path)


def _read_manifest(place: Place) -> list[str] | None:
    return place.manifest.read_text().splitlines() if place.manifest.exists() else None


def _check_free(place: Place, files: list[InstalledFile], old: list[str]) -> None:
    """What others have put there is neither overwritten now nor removed later."""
    paths = sorted(place.root / file.path for file in files if str(file.path) not in old)
    taken = [path for path in paths if os.path.lexists(path)]
    if taken:
        more = f" and {len(taken) - 1} more" if len(taken) > 1 else ""
        raise Failure(f"{taken[0]}{more} would be overwritten: move what is there away, or choose another PREFIX")


def _make_folders(root: Path, folders: Iterable[Path]) -> list[Path]:
    """Makes them below the root; returns those that were not there, the root itself as `.` among them."""
    made = []
    for folder in folders:
        missing = [path for path in (folder, *folder.parents) if not (root / path).exists()]
        for path in reversed(missing):
            (root / path).mkdir(0o755, parents=True)
            made.append(path)
    return made


def _remove(root: Path, lines: list[str]) -> None:
    """Files first, then folders that are empty, the deepest first."""
    for line in lines:
        if not line.endswith("/"):
            (root / line).unlink(missing_ok=True)
    for line in sorted((line for line in lines if line.endswith("/")), key=lambda line: -len(Path(line).parts)):
        folder = root / line
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _replace_environment(place: Place, new: Path) -> None:
    old = place.environment.with_name(f".{ENVIRONMENT.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if place.environment.exists():
        place.environment.rename(old)
    new.rename(place.environment)
    shutil.rmtree(old, ignore_errors=True)
