"""Where an installation lies: PREFIX, the folder it will be found in, and DESTDIR, the folder it is made in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from installation.failure import Failure

ENVIRONMENT = Path("lib/walb")
MANIFEST = "installed-files"
# The kernel reads so much of the first line of a script.
MAX_SHEBANG = 127


@dataclass(frozen=True)
class Place:
    """`prefix` stands in launchers and units; `root` is where files are written."""

    prefix: Path
    root: Path

    @classmethod
    def of_options(cls, prefix: str, destdir: str) -> Place:
        """Raises Failure for a PREFIX that scripts and units cannot name."""
        place = Path(prefix)
        if not place.is_absolute() or ".." in place.parts or any(c.isspace() or c in "%$\\\"'" for c in prefix):
            raise Failure(f"PREFIX={prefix} must be an absolute path without spaces, quotes, '%', '$' and '..'")
        made = cls(place, Path(destdir).absolute() / place.relative_to("/") if destdir else place)
        if len(made.shebang) > MAX_SHEBANG:
            raise Failure(f"PREFIX={prefix} is too long: the first line of scripts may have {MAX_SHEBANG} bytes")
        return made

    @property
    def shebang(self) -> str:
        """First line of the commands. -I: the environment of a user changes nothing."""
        return f"#!{self.prefix / ENVIRONMENT}/bin/python -I"

    @property
    def environment(self) -> Path:
        """The private virtual environment."""
        return self.root / ENVIRONMENT

    @property
    def manifest(self) -> Path:
        """The list of what was installed."""
        return self.environment / MANIFEST
