"""Tests in inside/ need the kernel of User Mode Linux: on the host test_inside.py boots it for them."""

from __future__ import annotations

import os

from tests.vm.uml import IN_UML

collect_ignore = [] if os.environ.get(IN_UML) else ["inside"]
