"""Constants of the library (python-library.md section 3). Names and values are those scripts use."""

from __future__ import annotations

from walbd.model import limits
from walbd.model.compression import CompressionType

Mebi = 1 << 20
Lbs = limits.LB_BYTES
UINT64_MAX = limits.UINT64_MAX

TIMEOUT_SEC = 86400
SHORT_TIMEOUT_SEC = 100

BASE_VOLUME_PREFIX = "wb_"
RESTORED_VOLUME_PREFIX = "wr_"
COLD_VOLUME_PREFIX = "wc_"

K_STORAGE = 0
K_PROXY = 1
K_ARCHIVE = 2
serverKinds = [K_STORAGE, K_PROXY, K_ARCHIVE]
serverKindMap = {K_STORAGE: "storage", K_PROXY: "proxy", K_ARCHIVE: "archive"}
serverKindRmap = {name: kind for kind, name in serverKindMap.items()}

# The library numbers the codecs in its own order, which is not that of the stored form.
CMPR_NONE = 0
CMPR_SNAPPY = 1
CMPR_GZIP = 2
CMPR_LZMA = 3
CMPR_LZ4 = 4
CMPR_ZSTD = 5
CMPR_NAMES = {
    CMPR_NONE: str(CompressionType.NONE),
    CMPR_SNAPPY: str(CompressionType.SNAPPY),
    CMPR_GZIP: str(CompressionType.GZIP),
    CMPR_LZMA: str(CompressionType.LZMA),
    CMPR_LZ4: str(CompressionType.LZ4),
    CMPR_ZSTD: str(CompressionType.ZSTD),
}

DatetimeFormatPretty = "%Y-%m-%dT%H:%M:%S"
DatetimeFormatDigits = "%Y%m%d%H%M%S"
