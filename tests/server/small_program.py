"""A daemon as a program, for tests of its command line and exit status."""

from __future__ import annotations

import sys

from tests.server.server_testing import SmallDaemon
from walbd.server.common_options import CommonSettings
from walbd.server.program import run_daemon

sys.exit(run_daemon(SmallDaemon, CommonSettings))
