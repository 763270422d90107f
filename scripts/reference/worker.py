"""The page of walb-worker, made from its options."""

from __future__ import annotations

from scripts.reference import markdown
from scripts.reference.markdown import block, options_table, see_also, table
from walbc.worker.main import OPTIONS

_DESCRIPTION = """
Applies, merges, replicates and thins out the volumes of one archive by [policy](walb-policy.md). It needs no state of
its own, and may be ended and started at any time. Without `-dry-run` and `-once` it runs until `SIGINT` or `SIGTERM`,
then waits for its running tasks; `SIGHUP` has it read its policy files again. `walb_worker.py`, the name of the
reference's script, is the same program.

The log goes to standard output: `YYYY-MM-DD HH:MM:SS.ffffff LEVEL TEXT`, in UTC.
"""
_WHAT_IS_DUE = """
The first step that finds something wins; a volume has one task at a time, and a volume with a running action is left
alone.

1. Finish an interrupted apply; make snapshots implicit that no retention rule keeps.
2. Apply up to the last snapshot older than the keep period: of the volumes due, that with most to apply.
3. Merge a volume with `threshold_nr` wdiffs or more.
4. Replicate to a destination that is behind, the least recently served first. The first replication of a volume is the
   operator's.
5. Merge a volume not merged for `merge.interval`.
"""
_EXAMPLES = """
What would be done now, and why:

    walb-worker -f policy.yaml -dry-run

Every ten minutes from cron:

    */10 * * * * walb-worker -f /etc/walb/policy.yaml -once
"""
_STATUSES = (
    (
        "0",
        "ended by a signal or its lifetime; `-once`: everything due was done; `-dry-run`; `--check`: policy is right; "
        "`-h`",
    ),
    (
        "1",
        "wrong command line (usage on stdout) or policy file (one line on stderr); planning failed three times in a "
        "row; `-once`: a task failed; the archive does not answer",
    ),
)


def page() -> str:
    """The whole page."""
    sections = {
        "Synopsis": block("walb-worker -f FILE [-f FILE...] [OPTIONS]"),
        "Description": _DESCRIPTION,
        "Options": options_table(OPTIONS.values()),
        "What is due": _WHAT_IS_DUE,
        "Exit status": table(("Status", "Meaning"), _STATUSES),
        "Examples": _EXAMPLES,
        "See also": see_also("walb", "walb-policy", "walb-archive", "walbc"),
    }
    return markdown.page("walb-worker(1): applies, merges and replicates volumes by policy", sections)
