"""States, actions and command rules of a storage volume: data only (servers.md section 3.3)."""

from __future__ import annotations

from walbd.server.command_rules import Answer, CommandRule, rule_table
from walbd.server.state_machine import CLEAR, StateTable, Transition

SYNC_READY = "SyncReady"
STOPPED = "Stopped"
TARGET = "Target"
STANDBY = "Standby"

INIT_VOL = "InitVol"
CLEAR_VOL = "ClearVol"
START_STANDBY = "StartStandby"
STOP_STANDBY = "StopStandby"
FULL_SYNC = "FullSync"
HASH_SYNC = "HashSync"
RESET = "Reset"
START_TARGET = "StartTarget"
STOP_TARGET = "StopTarget"

WLOG_SEND = "WlogSend"
WLOG_REMOVE = "WlogRemove"
ACTIONS = (WLOG_SEND, WLOG_REMOVE)

STATES = StateTable(
    "storage",
    [
        Transition(CLEAR, INIT_VOL, SYNC_READY, "init-vol"),
        Transition(SYNC_READY, CLEAR_VOL, CLEAR, "clear-vol"),
        Transition(SYNC_READY, START_STANDBY, STANDBY, "start standby"),
        Transition(STANDBY, STOP_STANDBY, SYNC_READY, "stop"),
        Transition(SYNC_READY, FULL_SYNC, STOPPED, "full-bkp, followed by StartTarget"),
        Transition(SYNC_READY, HASH_SYNC, STOPPED, "hash-bkp, followed by StartTarget"),
        Transition(STOPPED, RESET, SYNC_READY, "reset-vol"),
        Transition(STOPPED, START_TARGET, TARGET, "start target, end of a backup"),
        Transition(TARGET, STOP_TARGET, STOPPED, "stop, overflow of the log device"),
    ],
)

BACKING_UP = (FULL_SYNC, HASH_SYNC)
MONITORED = (TARGET, STANDBY, *BACKING_UP)
"""States in which the device is watched for new log."""

EXISTING = (SYNC_READY, STOPPED, TARGET, STANDBY)
NOT_CLEAR = tuple(sorted((STATES.static | STATES.dynamic) - {CLEAR}))

_TO_SYNC_READY = "a Target becomes it by stop and reset-vol, a Standby by stop"

RULES = rule_table(
    CommandRule("init-vol", (CLEAR,)),
    CommandRule("clear-vol", (SYNC_READY,)),
    CommandRule("start target", (STOPPED,), not_stopping=True),
    CommandRule("start standby", (SYNC_READY,), not_stopping=True),
    CommandRule("stop", MONITORED, Answer.ASYNC),
    CommandRule("snapshot", (TARGET, STOPPED), not_stopping=True),
    CommandRule("full-bkp", (SYNC_READY,), Answer.ASYNC, not_stopping=True, remedy=_TO_SYNC_READY),
    CommandRule("hash-bkp", (SYNC_READY,), Answer.ASYNC, not_stopping=True, remedy=_TO_SYNC_READY),
    CommandRule("resize", EXISTING, not_stopping=True),
    CommandRule("reset-vol", (STOPPED,), not_stopping=True),
    CommandRule("kick", None),
    CommandRule("set-full-scan-bps", None),
    CommandRule("dbg-dump-logpack-header", NOT_CLEAR),
    CommandRule("get is-overflow", NOT_CLEAR),
    CommandRule("get uuid", NOT_CLEAR),
    CommandRule("get log-usage", NOT_CLEAR),
    CommandRule("get latest-snap", (TARGET,)),
)
