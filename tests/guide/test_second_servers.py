"""Pages of the guide with more than one server of a kind."""

from __future__ import annotations

import pytest

from tests.guide.runner import play

pytestmark = pytest.mark.timeout(600)


def test_a_second_archive_and_replacing_a_proxy_and_archives() -> None:
    play("replace.md")


def test_replicas_on_two_storages() -> None:
    play("replicas.md")
