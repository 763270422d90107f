"""States, actions and commands of an archive's volumes, as data (servers.md section 5.5)."""

from __future__ import annotations

from walbd.server.command_rules import Answer, CommandRule, rule_table
from walbd.server.state_machine import CLEAR, StateTable, Transition

SYNC_READY = "SyncReady"
ARCHIVED = "Archived"
STOPPED = "Stopped"

INIT_VOL = "InitVol"
CLEAR_VOL = "ClearVol"
RESET_VOL = "ResetVol"
FULL_SYNC = "FullSync"
HASH_SYNC = "HashSync"
WDIFF_RECV = "WdiffRecv"
REPL_SYNC_AS_SERVER = "ReplSyncAsServer"
STOP = "Stop"
START = "Start"

STATES = StateTable(
    "archive",
    [
        Transition(CLEAR, INIT_VOL, SYNC_READY, "init-vol"),
        Transition(SYNC_READY, CLEAR_VOL, CLEAR, "clear-vol"),
        Transition(STOPPED, CLEAR_VOL, CLEAR, "clear-vol"),
        Transition(SYNC_READY, RESET_VOL, SYNC_READY, "reset-vol"),
        Transition(STOPPED, RESET_VOL, SYNC_READY, "reset-vol"),
        Transition(SYNC_READY, FULL_SYNC, ARCHIVED, "full backup"),
        Transition(ARCHIVED, WDIFF_RECV, ARCHIVED, "wdiff transfer"),
        Transition(ARCHIVED, STOP, STOPPED, "stop"),
        Transition(STOPPED, START, ARCHIVED, "start"),
    ],
)

STORED = frozenset({SYNC_READY, ARCHIVED, STOPPED})
"""What file `state` may hold."""

ACTIVE = (ARCHIVED, HASH_SYNC, WDIFF_RECV, REPL_SYNC_AS_SERVER)
ACTIVE_OR_STOPPED = (*ACTIVE, STOPPED)

MERGE = "Merge"
APPLY = "Apply"
RESTORE = "Restore"
REPL_SYNC_AS_CLIENT = "ReplSyncAsClient"
RESIZE = "Resize"
ACTIONS = (MERGE, APPLY, RESTORE, REPL_SYNC_AS_CLIENT, RESIZE)

FULL_BACKUP = "dirty-full-sync3"
WDIFF_TRANSFER = "wdiff-transfer"

RULES = rule_table(
    CommandRule("init-vol", (CLEAR,), forbids=ACTIONS),
    CommandRule("clear-vol", (SYNC_READY, STOPPED), forbids=ACTIONS),
    CommandRule("reset-vol", (SYNC_READY, STOPPED), forbids=ACTIONS),
    CommandRule("start", (STOPPED,), forbids=ACTIONS),
    CommandRule("stop", (*ACTIVE,), Answer.ASYNC),
    CommandRule("restore", ACTIVE, Answer.ASYNC, forbids=(RESTORE, RESIZE), not_stopping=True),
    CommandRule("del-restored", ACTIVE_OR_STOPPED, forbids=(RESTORE, RESIZE), not_stopping=True),
    CommandRule(FULL_BACKUP, (SYNC_READY,), Answer.ASYNC, forbids=ACTIONS, not_stopping=True),
    CommandRule(WDIFF_TRANSFER, (ARCHIVED,), not_stopping=True),
)
