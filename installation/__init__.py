"""Installing the programs and making packages of them: `make install`, `make uninstall`, `make package`.

Needs nothing but Python itself; runs before the project's dependencies are there.
"""
