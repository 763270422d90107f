"""python -m installation install|uninstall [--prefix DIR] [--destdir DIR], or package."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from installation.environment import make_environment
from installation.failure import Failure
from installation.install import install, uninstall
from installation.package import make_packages
from installation.place import Place

SOURCE = Path(__file__).resolve().parent.parent
NEXT = """\
installed below {prefix}. Next (share/doc/walb/docs/installing.md):
  sudo cp {prefix}/share/doc/walb/examples/walb-archive /etc/default/ && sudo vi /etc/default/walb-archive
  sudo systemctl daemon-reload && sudo systemctl enable --now walb-archive"""


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m installation")
    parser.add_argument("command", choices=["install", "uninstall", "package"])
    parser.add_argument("--prefix", default="/usr/local")
    parser.add_argument("--destdir", default="")
    options = parser.parse_args()
    os.umask(0o022)
    try:
        if options.command == "package":
            for path in make_packages(SOURCE, SOURCE / "build" / "dist"):
                print(path.relative_to(SOURCE))
            return 0
        place = Place.of_options(options.prefix, options.destdir)
        if options.command == "install":
            install(place, SOURCE, make_environment)
            print(NEXT.format(prefix=place.prefix))
        else:
            uninstall(place)
            print(f"removed from {place.prefix}; configuration and data were left alone")
    except Failure as error:
        print(f"{options.command}: error: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"{options.command}: error: this has failed: {' '.join(map(str, error.cmd))}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{options.command}: error: {error} (hint: use sudo, or a PREFIX of yours)", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
