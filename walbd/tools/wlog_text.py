"""Lines and JSON objects for parts of a log, as the reference words them (wlog-format.md section 15)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from walbd.model.limits import LB_BYTES
from walbd.model.uuid_text import uuid_hex
from walbd.version import WLOG_VERSION
from walbd.wlog.log_file import LogFileHeader
from walbd.wlog.pack import LogPack, LogRecord


def header_line(h: LogFileHeader) -> str:
    """`wlog_h: ...`."""
    return (
        f"wlog_h: ver {WLOG_VERSION:3} pbs {h.pbs:4} salt {h.salt:08x} uuid {uuid_hex(h.uuid)} "
        f"lsid {h.begin_lsid} {h.end_lsid}"
    )


def header_object(h: LogFileHeader) -> dict[str, Any]:
    """The same for JSON."""
    return {
        "kind": "header", "version": WLOG_VERSION, "pbs": h.pbs, "salt": f"{h.salt:08x}", "uuid": uuid_hex(h.uuid),
        "begin_lsid": h.begin_lsid, "end_lsid": h.end_lsid,
    }  # fmt: skip


def pack_line(p: LogPack) -> str:
    """`wlog_p: ...`."""
    return (
        f"wlog_p: lsid {p.lsid:10} total {p.total_pb:4} n_rec {len(p.records):2} n_pad {p.n_padding:2} "
        f"csum {p.csum:08x}"
    )


def flags(r: LogRecord) -> str:
    """Three letters: exist, padding, discard."""
    return f"E{'P' if r.is_padding else '-'}{'D' if r.is_discard else '-'}"


def record_line(r: LogRecord) -> str:
    """`wlog_r: ...`."""
    place = f"lsid {r.lsid:10} {r.lsid_local:4} io {r.offset_lb:10} {r.size_lb:4}"
    return f"wlog_r: {place} flags {flags(r)} csum {r.csum:08x}"


def pack_object(p: LogPack) -> dict[str, Any]:
    """A pack with its records for JSON."""
    records = [
        {
            "lsid": r.lsid, "lsid_local": r.lsid_local, "offset": r.offset_lb, "io_size": r.size_lb, "flags": flags(r),
            "checksum": f"{r.csum:08x}",
        }
        for r in p.records
    ]  # fmt: skip
    return {
        "kind": "pack", "lsid": p.lsid, "total_io_size": p.total_pb, "n_padding": p.n_padding,
        "checksum": f"{p.csum:08x}", "records": records,
    }  # fmt: skip


@dataclass(slots=True)
class LogStatistics:
    """Counts over a log."""

    pbs: int
    packs: int = 0
    normal_lb: int = 0
    discard_lb: int = 0
    padding_pb: int = 0

    def add(self, pack: LogPack) -> None:
        """Counts one more pack."""
        self.packs += 1
        for r in pack.records:
            if r.is_padding:
                self.padding_pb += r.size_lb * LB_BYTES // self.pbs
            elif r.is_discard:
                self.discard_lb += r.size_lb
            else:
                self.normal_lb += r.size_lb

    def fields(self, header: LogFileHeader, real_end_lsid: int) -> dict[str, int]:
        """The numbers by the reference's names."""
        return {
            "bgnLsid": header.begin_lsid,
            "endLsid": header.end_lsid,
            "reallyEndLsid": real_end_lsid,
            "nrPacks": self.packs,
            "normalLb": self.normal_lb,
            "discardLb": self.discard_lb,
            "paddingPb": self.padding_pb,
        }
