"""The page of the guide for lost data."""

from __future__ import annotations

import pytest

from tests.guide.runner import play

pytestmark = pytest.mark.timeout(300)


def test_a_server_has_lost_its_data() -> None:
    play("lost.md")
