"""Pages of the guide for every day, played one after the other in one group."""

from __future__ import annotations

import pytest

from tests.guide.runner import play

pytestmark = pytest.mark.timeout(600)


def test_manage_data_a_server_was_down_and_grow_a_volume() -> None:
    play("manage.md", "down.md", "grow.md")
