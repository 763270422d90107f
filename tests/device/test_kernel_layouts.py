"""The kernel driver's byte layouts and texts, against the documented ones; no driver is needed."""

from __future__ import annotations

import asyncio
import struct
import threading
from collections import Counter
from pathlib import Path

import pytest

from walbd.device import kernel_ioctl as ki
from walbd.device.device import LsidSet
from walbd.device.kernel_device import KernelDevice
from walbd.model.error import Corrupted, NotFound, StorageFailure

LSIDS = """latest       536193
completed    536192
flush        536191
permanent    536190
written      536189
prev_written 536188
oldest       7
"""
SET = LsidSet(536193, 536192, 536191, 536190, 536189, 536188, 7)


def test_numbers_of_the_ioctls_follow_from_magic_and_size() -> None:
    read, write = 2 << 30, 1 << 30
    assert read | 4 << 16 | 0xFE << 8 | 0 == ki.IOCTL_VERSION
    assert read | write | 120 << 16 | 0xFE << 8 | 1 == ki.IOCTL_CONTROL
    assert read | write | 120 << 16 | 0xFE << 8 | 2 == ki.IOCTL_WDEV


def test_the_control_structure_has_its_fields_where_the_driver_expects_them() -> None:
    u2k = ki.Half(1, 2, 3, 4, 5, 6, 7, 8)
    k2u = ki.Half(buf_size=9, buf=10)
    ctl = ki.pack_ctl(25, val_int=-2, val_u64=2**63, val_u32=3, u2k=u2k, k2u=k2u)
    assert len(ctl) == ki.CTL_BYTES == 120
    assert struct.unpack_from("=iiQIi", ctl, 0) == (25, -2, 2**63, 3, 0)
    assert struct.unpack_from("=6I", ctl, 24) == (1, 2, 3, 4, 5, 6)
    assert struct.unpack_from("=QQQ", ctl, 48) == (7, 8, 0)
    assert struct.unpack_from("=QQQ", ctl, 96) == (9, 10, 0)


def test_answers_are_read_from_where_the_driver_puts_them() -> None:
    ctl = bytearray(120)
    struct.pack_into("=iiQIi", ctl, 0, 22, 1, 5, 6, -6)
    struct.pack_into("=II", ctl, 72, 252, 4)
    assert ki.unpack_ctl(ctl) == ki.Answer(1, 5, 6, -6, 252, 4)


def test_start_parameters_are_64_bytes_and_checked() -> None:
    parameters = ki.StartParameters("vol")
    data = parameters.pack()
    assert len(data) == ki.START_BYTES == 64
    assert data[:32] == b"vol".ljust(32, b"\0")
    assert struct.unpack_from("=8I", data, 32) == (32, 16, 100, 32, 100, 16, 128, 1024)
    assert ki.started_name(data) == "vol" and parameters.is_valid()
    for wrong in (
        ki.StartParameters("x" * 26),
        ki.StartParameters(max_pending_mb=1),
        ki.StartParameters(max_pending_mb=16385),
        ki.StartParameters(min_pending_mb=32),
        ki.StartParameters(min_pending_mb=0),
        ki.StartParameters(queue_stop_timeout_ms=0),
        ki.StartParameters(log_flush_interval_mb=17),
        ki.StartParameters(n_pack_bulk=0),
        ki.StartParameters(n_io_bulk=0),
    ):
        assert not wrong.is_valid()


def test_list_entries_are_40_bytes() -> None:
    data = (
        b"walb/a".ljust(32, b"\0")
        + struct.pack("=II", 252, 0)
        + b"walb/b".ljust(32, b"\0")
        + struct.pack("=II", 252, 2)
    )
    assert ki.parse_entries(data, 2) == [("walb/a", 252, 0), ("walb/b", 252, 2)]
    assert ki.parse_entries(data, 0) == []
    with pytest.raises(Corrupted):
        ki.parse_entries(data, 3)


def test_lsids_are_read_in_any_order_with_unknown_names() -> None:
    assert ki.parse_lsids(LSIDS) == SET
    assert ki.parse_lsids("submitted 5\n" + "\n".join(reversed(LSIDS.splitlines()))) == SET


@pytest.mark.parametrize(
    "text",
    [
        "",
        LSIDS.replace("flush        536191\n", ""),
        LSIDS + "x\n",
        LSIDS + "a b c\n",
        LSIDS.replace("7", "-7"),
        "latest x\n",
    ],
)
def test_a_wrong_lsids_text_is_refused(text: str) -> None:
    with pytest.raises(Corrupted):
        ki.parse_lsids(text)


def test_the_uuid_is_read_from_spaced_hex() -> None:
    assert ki.parse_uuid("00 01 02 03 04 05 06 07 08 09 0A 0B 0C 0D 0E FF \n") == bytes([*range(15), 255])
    for text in ("", "00 01", "zz " * 16):
        with pytest.raises(Corrupted):
            ki.parse_uuid(text)


async def test_a_waiter_sees_a_change_of_the_lsids_file(tmp_path: Path) -> None:
    folder = tmp_path / "walb!vol" / "walb"
    folder.mkdir(parents=True)
    (folder / "lsids").write_text(LSIDS)
    device = KernelDevice("vol", tmp_path, tmp_path)
    assert await device.lsids() == SET
    assert await device.wait(SET, 0.01) == SET
    waiting = asyncio.ensure_future(device.wait(SET, 60))
    await asyncio.sleep(0)
    (folder / "lsids").write_text(LSIDS.replace("536193", "536199"))
    assert (await waiting).latest == 536199


async def test_a_missing_device_is_told_plainly(tmp_path: Path) -> None:
    device = KernelDevice("vol", tmp_path, tmp_path)
    with pytest.raises(NotFound):
        await device.lsids()
    with pytest.raises(NotFound):
        await device.melt()
    (tmp_path / "vol").touch()
    with pytest.raises(StorageFailure, match="walb driver refused"):
        await device.melt()


async def test_a_driver_that_hangs_costs_one_thread_a_device_and_no_other_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released, asked = threading.Event(), Counter[str]()

    def answer(node: str, request: int, ctl: bytearray) -> ki.Answer:
        asked[Path(node).name] += 1
        if node.endswith("well"):
            return ki.unpack_ctl(ctl)
        released.wait(60)
        raise StorageFailure("the driver has come to its senses")

    monkeypatch.setattr("walbd.device.kernel_device.call", answer)
    hanging = [KernelDevice(f"hangs{number}", tmp_path, tmp_path) for number in range(40)]
    try:
        for _ in range(3):  # as tasks, monitors and operators ask again
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await asyncio.gather(*(device.melt() for device in hanging))
        async with asyncio.timeout(20):
            await KernelDevice("well", tmp_path, tmp_path).melt()
        assert set(asked.values()) == {1}
    finally:
        released.set()
    with pytest.raises(StorageFailure, match="come to its senses"):
        await hanging[0].melt()
    assert asked["hangs0"] == 2
