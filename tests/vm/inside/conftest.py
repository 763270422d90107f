"""Fixtures of the tests inside User Mode Linux."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.vm.inside.disks import LoopDevices

# Of the suite of all image stores: what a simulated volume group shows as well. LVM is slow in here.
ALSO_SIMULATED = {
    "test_a_base_never_shrinks",
    "test_a_base_that_is_not_there_can_be_deleted_but_not_opened",
    "test_a_cancelled_copy_leaves_nothing",
    "test_a_cold_image_is_deleted_once",
    "test_a_deleted_base_is_gone",
    "test_a_restore_replaces_what_an_earlier_one_left",
    "test_a_restored_volume_is_deleted_once",
    "test_a_restored_volume_is_not_replaced",
    "test_abandoning_a_restore_leaves_nothing",
    "test_creating_a_base_that_exists_forgets_its_content_and_size",
    "test_deleting_a_base_also_removes_what_was_about_to_take_its_place",
    "test_restored_gids_are_listed_in_order_and_only_those_of_the_volume",
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Leaves some tests to the long run."""
    for item in items:
        if item.originalname in ALSO_SIMULATED:
            item.add_marker(pytest.mark.long)


@pytest.fixture
def loops(tmp_path: Path) -> Iterator[LoopDevices]:
    """Makes loop devices, gone after the test."""
    devices = LoopDevices(tmp_path)
    yield devices
    devices.close()
