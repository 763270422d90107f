"""The version of the whole project; read by the build, printed by every program."""

VERSION = "2.0.0a1"
WLOG_VERSION = 2
