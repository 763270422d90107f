"""What LVM is told and how its reports are read."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from walbd.image.lvm.commands import LvmCommands
from walbd.image.lvm.lvm import LogicalVolume, VolumeGroup
from walbd.image.lvm.report import logical_volumes, volume_groups
from walbd.image.lvm.size_tags import GROWING, size_lb_of, size_tag
from walbd.image.names import BASE_PREFIX, COLD_PREFIX, RESTORED_PREFIX, gid_of
from walbd.model.error import StorageFailure

ROW = {
    "lv_name": "wb_v0",
    "lv_size": "12582912",
    "origin": "",
    "pool_lv": "",
    "lv_layout": "linear",
    "lv_active": "active",
    "lv_permissions": "writeable",
    "lv_tags": "walb.size_lb=20488,other",
    "zero": "",
    "data_percent": "",
    "metadata_percent": "",
}
GROUP = VolumeGroup("vg0", 4 << 20, 0)


def report(kind: str, *rows: dict[str, str]) -> str:
    return json.dumps({"report": [{kind: list(rows)}]})


def test_a_logical_volume_is_read_from_its_row() -> None:
    tags = frozenset({"walb.size_lb=20488", "other"})
    assert logical_volumes(report("lv", ROW)) == [LogicalVolume("wb_v0", 12 << 20, tags=tags)]
    thin = ROW | {"origin": "wb_v0", "pool_lv": "[pool]", "lv_active": "", "lv_permissions": "read-only", "lv_tags": ""}
    (volume,) = logical_volumes(report("lv", thin))
    assert (volume.origin, volume.pool, volume.is_active, volume.is_writable) == ("wb_v0", "pool", False, False)
    pool = ROW | {"lv_layout": "thin,pool", "zero": "zero", "data_percent": "99.61", "metadata_percent": "1.50"}
    (volume,) = logical_volumes(report("lv", pool))
    assert (volume.is_thin_pool, volume.zeroes_new_blocks, volume.data_percent) == (True, True, 99.61)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "nonsense", report("lv", {"lv_name": "x"}), report("lv", ROW | {"lv_size": "1.5m"}), report("vg")],
)
def test_what_is_no_report_is_refused(text: str) -> None:
    with pytest.raises(StorageFailure, match="report of LVM cannot be read"):
        logical_volumes(text)


def test_a_group_is_read_from_its_row() -> None:
    row = {"vg_name": "vg0", "vg_extent_size": "4194304", "vg_free": "8388608"}
    assert volume_groups(report("vg", row)) == [VolumeGroup("vg0", 4 << 20, 8 << 20)]


@pytest.mark.parametrize(
    ("tags", "size_bytes", "size_lb"),
    [
        ((), 12 << 20, 24576),
        ((size_tag(20488),), 12 << 20, 20488),
        ((size_tag(20488),), 16 << 20, 32768),
        ((size_tag(20488), GROWING), 16 << 20, 20488),
        ((size_tag(99999),), 12 << 20, 24576),
        (("walb.size_lb=0", "walb.size_lb=x"), 12 << 20, 24576),
    ],
)
def test_a_volume_has_the_size_its_tag_says_unless_the_base_was_resized_by_others(
    tags: Sequence[str], size_bytes: int, size_lb: int
) -> None:
    assert size_lb_of(LogicalVolume("wb_v0", size_bytes, tags=frozenset(tags)), GROUP) == size_lb


@pytest.mark.parametrize(
    ("name", "prefix", "is_temporary", "gid"),
    [
        ("wr_v0_5", RESTORED_PREFIX, False, 5),
        ("wr_v0_5_tmp", RESTORED_PREFIX, True, 5),
        ("wr_v0_5_tmp", RESTORED_PREFIX, False, None),
        ("wc_v0_0", COLD_PREFIX, False, 0),
        ("wb_v0_7_tmp", BASE_PREFIX, True, 7),
        ("wb_v0", BASE_PREFIX, False, None),
        ("wr_v0-1_5", RESTORED_PREFIX, False, None),
        ("wr_v0_05", RESTORED_PREFIX, False, None),
        ("wr_v0_5_x", RESTORED_PREFIX, False, None),
    ],
)
def test_only_the_exact_form_of_a_name_is_ours(name: str, prefix: str, is_temporary: bool, gid: int | None) -> None:
    assert gid_of(name, prefix, "v0", is_temporary=is_temporary) == gid


class Recorder:
    """A runner that keeps the commands."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def run(self, words: Sequence[str]) -> str:
        self.lines.append(" ".join(words))
        return ""

    def close(self) -> None:
        """Nothing runs."""


def test_the_commands_are_those_of_the_reference_with_every_question_answered() -> None:
    recorder = Recorder()
    lvm = LvmCommands("vg0", lambda: recorder)
    lvm.open()
    lvm.create("wb_v0", 1000, ["a", "b"])
    lvm.create_thin("pool", "wb_v1", 1000, [])
    lvm.snapshot("wb_v0", "wr_v0_1_tmp", 1200)
    lvm.snapshot_thin("wb_v1", "wc_v1_1", is_writable=False)
    lvm.rename("wr_v0_1_tmp", "wr_v0_1")
    lvm.remove("wr_v0_1")
    lvm.extend("wb_v0", 2000)
    lvm.change_tags("wb_v0", ["b"], ["a"])
    lvm.set_writable("wc_v1_1", True)
    lvm.activate("wc_v1_1")
    assert recorder.lines == [
        "lvcreate -y -n wb_v0 --size 1000b --addtag a --addtag b vg0",
        "lvcreate -y --type thin -n wb_v1 --virtualsize 1000b --thinpool pool vg0",
        "lvcreate -y -s -n wr_v0_1_tmp --size 1200b -p rw vg0/wb_v0",
        "lvcreate -y -s -n wc_v1_1 -ky -p r vg0/wb_v1",
        "lvrename -y vg0 wr_v0_1_tmp wr_v0_1",
        "lvremove -y -f vg0/wr_v0_1",
        "lvextend -y -f --size 2000b vg0/wb_v0",
        "lvchange -y --deltag a --addtag b vg0/wb_v0",
        "lvchange -y -p rw -kn vg0/wc_v1_1",
        "lvchange -y -ay -K vg0/wc_v1_1",
    ]
