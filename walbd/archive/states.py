"""States, actions and command rules of an archive volume: data only (servers.md section 5.5)."""

from __future__ import annotations

from walbd.server.command_rules import EVERY_ACTION, Answer, CommandRule, rule_table
from walbd.server.state_machine import CLEAR, StateTable, Transition

SYNC_READY = "SyncReady"
ARCHIVED = "Archived"
STOPPED = "Stopped"

INIT_VOL = "InitVol"
CLEAR_VOL = "ClearVol"
RESET_VOL = "ResetVol"
FULL_SYNC = "FullSync"
RESYNC = "Resync"
HASH_SYNC = "HashSync"
WDIFF_RECV = "WdiffRecv"
REPL_SYNC_AS_SERVER = "ReplSyncAsServer"
STOP = "Stop"
START = "Start"

MERGE = "Merge"
APPLY = "Apply"
RESTORE = "Restore"
REPL_SYNC_AS_CLIENT = "ReplSyncAsClient"
RESIZE = "Resize"
ACTIONS = (MERGE, APPLY, RESTORE, REPL_SYNC_AS_CLIENT, RESIZE)

STATES = StateTable(
    "archive",
    [
        Transition(CLEAR, INIT_VOL, SYNC_READY, "init-vol"),
        Transition(SYNC_READY, CLEAR_VOL, CLEAR, "clear-vol"),
        Transition(STOPPED, CLEAR_VOL, CLEAR, "clear-vol"),
        Transition(SYNC_READY, RESET_VOL, SYNC_READY, "reset-vol"),
        Transition(STOPPED, RESET_VOL, SYNC_READY, "reset-vol"),
        Transition(SYNC_READY, FULL_SYNC, ARCHIVED, "full backup, full replication as server"),
        Transition(SYNC_READY, RESYNC, ARCHIVED, "resync replication as server"),
        Transition(ARCHIVED, HASH_SYNC, ARCHIVED, "hash backup"),
        Transition(ARCHIVED, WDIFF_RECV, ARCHIVED, "wdiff transfer"),
        Transition(ARCHIVED, REPL_SYNC_AS_SERVER, ARCHIVED, "hash or diff replication as server"),
        Transition(ARCHIVED, STOP, STOPPED, "stop"),
        Transition(STOPPED, START, ARCHIVED, "start"),
    ],
)

ACTIVE = (ARCHIVED, HASH_SYNC, WDIFF_RECV, REPL_SYNC_AS_SERVER)
WITH_IMAGE = (*ACTIVE, STOPPED)
STOPPABLE = (*ACTIVE, FULL_SYNC, RESYNC)
NOT_CLEAR = tuple(sorted((STATES.static | STATES.dynamic) - {CLEAR}))

_IMAGE_USE = (RESTORE, RESIZE)
_BASE_USE = (RESTORE, REPL_SYNC_AS_CLIENT, APPLY, MERGE, RESIZE)
_NOT_RESIZED_BESIDE = (RESTORE, REPL_SYNC_AS_CLIENT, APPLY, RESIZE)

RULES = rule_table(
    CommandRule("init-vol", (CLEAR,), forbids=EVERY_ACTION),
    CommandRule("clear-vol", (SYNC_READY, STOPPED), forbids=EVERY_ACTION),
    CommandRule("reset-vol", (SYNC_READY, STOPPED), forbids=EVERY_ACTION),
    CommandRule("start", (STOPPED,), forbids=EVERY_ACTION),
    CommandRule("stop", STOPPABLE, Answer.ASYNC),
    CommandRule("restore", ACTIVE, Answer.ASYNC, _IMAGE_USE, not_stopping=True),
    CommandRule("del-restored", WITH_IMAGE, forbids=_IMAGE_USE, not_stopping=True),
    CommandRule("del-cold", WITH_IMAGE, forbids=_IMAGE_USE, not_stopping=True),
    CommandRule("apply", ACTIVE, Answer.ASYNC, _BASE_USE, not_stopping=True),
    CommandRule("merge", ACTIVE, Answer.ASYNC, (APPLY, MERGE, RESIZE), not_stopping=True),
    CommandRule("replicate", ACTIVE, Answer.ASYNC, _BASE_USE, not_stopping=True),
    CommandRule("resize", (SYNC_READY, *WITH_IMAGE), forbids=_NOT_RESIZED_BESIDE, not_stopping=True),
    CommandRule("enable-snapshot", ACTIVE, forbids=(APPLY, MERGE)),
    CommandRule("disable-snapshot", ACTIVE, forbids=(APPLY, MERGE)),
    CommandRule("gc-diff", WITH_IMAGE, forbids=EVERY_ACTION),
    CommandRule("bhash", ACTIVE, Answer.ASYNC),
    CommandRule("virt-full-scan", ACTIVE, Answer.ASYNC),
    CommandRule("dbg-reload-metadata", None, forbids=EVERY_ACTION, not_stopping=True),
    CommandRule("dirty-full-sync3", (SYNC_READY,), forbids=EVERY_ACTION, not_stopping=True),
    CommandRule(
        "dirty-hash-sync2",
        (ARCHIVED,),
        forbids=EVERY_ACTION,
        not_stopping=True,
        remedy="an empty volume needs a full-bkp first",
    ),
    CommandRule("wdiff-transfer", (ARCHIVED,), not_stopping=True),
    CommandRule("repl-sync3", (SYNC_READY, ARCHIVED), forbids=EVERY_ACTION, not_stopping=True),
    CommandRule("get restored", WITH_IMAGE, not_stopping=True),
    CommandRule("get restored-path", WITH_IMAGE, not_stopping=True),
    CommandRule("get cold", WITH_IMAGE, not_stopping=True),
    CommandRule("get restorable", None, not_stopping=True),
    CommandRule("get uuid", ACTIVE),
    CommandRule("get archive-uuid", ACTIVE),
    CommandRule("get base", ACTIVE),
    CommandRule("get exists-diff", WITH_IMAGE),
    CommandRule("get num-action", NOT_CLEAR),
    CommandRule("get latest-snap", WITH_IMAGE),
)
