"""The same as the package, for scripts that say `from walb.walb import *`."""

import walb
from walb import *  # noqa: F403

__all__ = walb.__all__
