"""How data is compressed and bundled on its way (python-library.md section 5)."""

from __future__ import annotations

from walbc.library.constants import CMPR_SNAPPY
from walbc.library.failure import ControlError
from walbc.library.texts import compress_kind_to_str, compress_str_to_kind, verify_compress_kind
from walbc.library.verify import verify_int, verify_size_unit, verify_type, verify_u64

_MAX_LEVEL = 9


class CompressOpt:
    """Codec, level 0..9 and number of threads."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, kind: int = CMPR_SNAPPY, level: int = 0, nrCpu: int = 1) -> None:
        self.kind = kind
        self.level = level
        self.nrCpu = nrCpu
        self.verify()

    def verify(self) -> None:
        """Raises ControlError for an impossible value."""
        verify_compress_kind(self.kind)
        verify_int(self.level)
        verify_u64(self.nrCpu)
        if not 0 <= self.level <= _MAX_LEVEL:
            raise ControlError("CompressOpt: bad level", self.kind, self.level, self.nrCpu)
        if self.nrCpu == 0:
            raise ControlError("CompressOpt: bad nrCpu", self.kind, self.level, self.nrCpu)

    def parse(self, s: str) -> None:
        """Takes the value of `snappy:0:1`. Raises ControlError."""
        verify_type(s, str)
        parts = s.split(":")
        if len(parts) != 3 or not all(part.isdigit() for part in parts[1:]):
            raise ControlError("CompressOpt: parse failed", s)
        self.kind, self.level, self.nrCpu = compress_str_to_kind(parts[0]), int(parts[1]), int(parts[2])
        self.verify()

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other) if isinstance(other, CompressOpt) else NotImplemented

    def __str__(self) -> str:
        return f"{compress_kind_to_str(self.kind)}:{self.level}:{self.nrCpu}"

    def __repr__(self) -> str:
        return f"CompressOpt({self})"


class SyncOpt:
    """Options of transfers to an archive: compression, delay in seconds, and for replication the most bytes merged into
    one diff and the bulk size, both with unit letters."""

    def __init__(
        self,
        cmprOpt: CompressOpt | None = None,
        delayS: int = 0,
        maxWdiffMergeSizeU: str = "1G",
        bulkSizeU: str = "64K",
    ) -> None:
        verify_type(cmprOpt, CompressOpt, allowNone=True)
        verify_u64(delayS)
        verify_size_unit(maxWdiffMergeSizeU)
        verify_size_unit(bulkSizeU)
        self.cmprOpt = cmprOpt or CompressOpt()
        self.delayS = delayS
        self.maxWdiffMergeSizeU = maxWdiffMergeSizeU
        self.bulkSizeU = bulkSizeU

    def getArchiveInfoArgs(self) -> list[str]:
        """Parameters of `archive-info add` and `update`."""
        return [str(self.cmprOpt), str(self.delayS)]

    def getReplicateArgs(self) -> list[str]:
        """Last parameters of `replicate`."""
        return [str(self.cmprOpt), self.maxWdiffMergeSizeU, self.bulkSizeU]

    def __str__(self) -> str:
        return f"cmpr={self.cmprOpt} merge={self.maxWdiffMergeSizeU} bulk={self.bulkSizeU}"
