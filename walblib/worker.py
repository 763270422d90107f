"""The worker's configuration and parsers, as walb-tools 1.0.19 offered them (docs/worker.md)."""

from walbc.worker.config import (
    ApplyConfig,
    Config,
    GeneralConfig,
    MergeConfig,
    ReplConfig,
    ReplServerConfig,
    RetentionConfig,
)
from walbc.worker.units import (
    parseFLAG,
    parsePERIOD,
    parsePort,
    parsePositive,
    parseSIZE_UNIT,
    parseSuffix,
)

__all__ = [
    "ApplyConfig",
    "Config",
    "GeneralConfig",
    "MergeConfig",
    "ReplConfig",
    "ReplServerConfig",
    "RetentionConfig",
    "parseFLAG",
    "parsePERIOD",
    "parsePort",
    "parsePositive",
    "parseSIZE_UNIT",
    "parseSuffix",
]
