"""The page of the guide about the upgrade, on disks that walb-tools 1.0.19 has left."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.guide import old_group
from tests.guide.runner import play

if TYPE_CHECKING:
    from tests.conftest import Vectors

pytestmark = pytest.mark.timeout(300)


def test_the_upgrade_of_a_group_whose_files_are_made_byte_by_byte() -> None:
    play("upgrade.md", prepare=old_group.make)


def test_the_upgrade_of_a_group_that_the_reference_has_written(vectors: Vectors) -> None:
    def take(folder: Path) -> None:
        old_group.take(vectors, folder)

    play("upgrade.md", prepare=take)
