"""States and command rules of a proxy volume: data only (servers.md section 4.3). Its actions are named after the
archives: one runs while wdiffs are sent to that archive."""

from __future__ import annotations

from walbd.server.command_rules import EVERY_ACTION, Answer, CommandRule, rule_table
from walbd.server.state_machine import CLEAR, StateTable, Transition

STOPPED = "Stopped"
STARTED = "Started"

ADD_ARCHIVE_INFO = "AddArchiveInfo"
DELETE_ARCHIVE_INFO = "DeleteArchiveInfo"
CLEAR_VOL = "ClearVol"
START = "Start"
STOP = "Stop"
WAIT_FOR_EMPTY = "WaitForEmpty"
WLOG_RECV = "WlogRecv"

STATES = StateTable(
    "proxy",
    [
        Transition(CLEAR, ADD_ARCHIVE_INFO, STOPPED, "archive-info add, update"),
        Transition(STOPPED, ADD_ARCHIVE_INFO, STOPPED, "archive-info add, update"),
        Transition(STOPPED, DELETE_ARCHIVE_INFO, STOPPED, "archive-info delete"),
        Transition(STOPPED, DELETE_ARCHIVE_INFO, CLEAR, "archive-info delete of the last one"),
        Transition(STOPPED, CLEAR_VOL, CLEAR, "clear-vol"),
        Transition(STOPPED, START, STARTED, "start"),
        Transition(STARTED, STOP, STOPPED, "stop graceful, stop force"),
        Transition(STARTED, WAIT_FOR_EMPTY, STOPPED, "stop empty"),
        Transition(STARTED, WLOG_RECV, STARTED, "wlog transfer"),
    ],
)

SENDING = (STARTED, WLOG_RECV, WAIT_FOR_EMPTY)
"""States in which wdiffs are sent to the archives."""

NOT_CLEAR = tuple(sorted((STATES.static | STATES.dynamic) - {CLEAR}))

RULES = rule_table(
    CommandRule("archive-info add", (CLEAR, STOPPED), forbids=EVERY_ACTION),
    CommandRule("archive-info update", (CLEAR, STOPPED), forbids=EVERY_ACTION),
    CommandRule("archive-info delete", (STOPPED,), forbids=EVERY_ACTION),
    CommandRule("archive-info get", None),
    CommandRule("archive-info list", None),
    CommandRule("start", (STOPPED,), forbids=EVERY_ACTION),
    CommandRule("stop", SENDING, Answer.ASYNC),
    CommandRule("clear-vol", (STOPPED,), forbids=EVERY_ACTION),
    CommandRule("resize", (STOPPED,)),
    CommandRule("kick", SENDING),
    CommandRule("wlog-transfer", (STARTED,), not_stopping=True),
    CommandRule("get is-wdiff-send-error", NOT_CLEAR),
    CommandRule("get proxy-diff", None),
    CommandRule("get latest-snap", NOT_CLEAR),
)
