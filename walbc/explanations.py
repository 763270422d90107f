"""What an operator ought to know about each command, and an example of each answer; read only for help and pages."""

from __future__ import annotations

from typing import NamedTuple


class Explanation(NamedTuple):
    """`text`: states needed and states after, what it costs, what follows; `example`: a command line."""

    text: str
    example: str


COMMANDS = {
    "status": Explanation(
        "Without VOL the settings of the server and one line per volume, with VOL all about one volume.\n"
        "It is made to be read; for scripts there are get and --json.",
        "walbc -s a0 status vol0",
    ),
    "init-vol": Explanation(
        "Clear becomes SyncReady. At a storage WDEV names the walb device of the volume; an archive needs none.\n"
        "Then make the first full backup: full-bkp at the storage.",
        "walbc -s s0 init-vol vol0 /dev/walb/0",
    ),
    "clear-vol": Explanation(
        "The volume becomes Clear: its diffs, images, restored volumes and records are gone for good.\n"
        "At a storage it has to be SyncReady, at a proxy Stopped, at an archive SyncReady or Stopped.",
        "walbc -s a0 clear-vol vol0",
    ),
    "reset-vol": Explanation(
        "The volume becomes SyncReady. At a storage (Stopped) all log is discarded; the gids of a hash backup follow\n"
        "the last one that was given, or GID;\n"
        "at an archive (Stopped or SyncReady) images and diffs are gone for good.\n"
        "After an overflow of the log: stop, reset-vol, hash-bkp at the storage.",
        "walbc -s s0 reset-vol vol0",
    ),
    "full-bkp": Explanation(
        "At a storage a volume that is SyncReady becomes FullSync, then Target: its log is shipped from then on.\n"
        "The primary archive needs it SyncReady. BULK is the unit of the copy, 256k if left out.",
        "walbc -s s0 full-bkp vol0 --wait",
    ),
    "hash-bkp": Explanation(
        "At a storage a volume that is SyncReady becomes HashSync, then Target. Only what differs at the primary\n"
        "archive is sent, and the snapshots there stay: the way back after an overflow of the log.",
        "walbc -s s0 hash-bkp vol0 --wait",
    ),
    "restore": Explanation(
        "Makes a writable volume of a snapshot; the backup goes on meanwhile. get restorable VOL all lists gids,\n"
        "get restored-path VOL GID tells where the volume is, del-restored deletes it.",
        "walbc -s a0 restore vol0 @2026-11-23T01:05:00 --wait",
    ),
    "del-restored": Explanation(
        "The restored volume must not be in use. The snapshot stays and can be restored again.",
        "walbc -s a0 del-restored vol0 9",
    ),
    "del-cold": Explanation(
        "A cold snapshot is a copy of a restored state in a thin pool: later restores begin with it, an apply makes\n"
        "it the base image. It can be deleted at any time; 'get cold VOL' lists them.",
        "walbc -s a0 del-cold vol0 9",
    ),
    "start": Explanation(
        "Storage: Stopped becomes Target with the role target, SyncReady becomes Standby with the role standby.\n"
        "Proxy: Stopped becomes Started. Archive: Stopped becomes Archived.",
        "walbc -s s0 start vol0 target",
    ),
    "stop": Explanation(
        "Storage: Target becomes Stopped, Standby becomes SyncReady. Proxy: Started becomes Stopped.\n"
        "Archive: Archived becomes Stopped. graceful (the default) waits for running work at most 60 s,\n"
        "force ends it, empty waits until all diffs have reached the archives.",
        "walbc -s p0 stop vol0 empty --wait",
    ),
    "archive-info": Explanation(
        "What is changed needs the volume Clear or Stopped at the proxy, for delete Stopped: stop it before and start\n"
        "it after. The first add makes it Stopped, deleting the last one makes it Clear; delete gives up the wdiffs\n"
        "that wait for the archive. CMPR is snappy:0:1 and DELAY 0 s if left out.",
        "walbc -s p0 archive-info add vol0 a1 backup2:10200",
    ),
    "snapshot": Explanation(
        "Needs the state Target or Stopped. The snapshot is explicit: it survives merges at the archive.\n"
        "It can be restored as soon as get latest-snap of the archive has reached its gid.",
        "walbc -s s0 snapshot vol0",
    ),
    "disable-snapshot": Explanation(
        "The snapshots can still be restored until a merge removes them. Nothing is changed unless all can be.",
        "walbc -s a0 disable-snapshot vol0 5 9",
    ),
    "enable-snapshot": Explanation(
        "Merges keep the snapshots from now on. Nothing is changed unless all can be.",
        "walbc -s a0 enable-snapshot vol0 5 9",
    ),
    "replicate": Explanation(
        "HOST:PORT is another archive; there the volume has to be SyncReady or Archived. It ends when the latest gid\n"
        "there is GID or later, or when at most MIB of diffs are left. RESYNC 1 compares the images first,\n"
        "DONTMERGE 1 keeps every snapshot. No action of the volume may be running.",
        "walbc -s a0 replicate vol0 gid 9 backup2:10200 --wait",
    ),
    "apply": Explanation(
        "Snapshots before GID cannot be restored any more; restored volumes stay. Needs the state Archived and\n"
        "no restore, apply, merge, resize or replication of the volume running.",
        "walbc -s a0 apply vol0 9 --wait",
    ),
    "merge": Explanation(
        "Implicit snapshots in between are gone; explicit ones end a run of diffs, so that they are kept.\n"
        "Fewer diffs make restores faster.",
        "walbc -s a0 merge vol0 5 gid 9 --wait",
    ),
    "resize": Explanation(
        "First the data device, then the walb device (storage), then the images (archives). A volume never shrinks.\n"
        "zeroclear (archive only) is accepted for old scripts: what is added reads as zeros in any case.",
        "walbc -s a0 resize vol0 2t",
    ),
    "kick": Explanation(
        "After a failure transfers are repeated with growing delays; kick repeats them now.\n"
        "At a proxy it also clears the mark that get is-wdiff-send-error shows.",
        "walbc -s p0 kick vol0",
    ),
    "set-full-scan-bps": Explanation(
        "Holds until the server ends; its option -fst sets the limit for good.",
        "walbc -s s0 set-full-scan-bps 100m",
    ),
    "bhash": Explanation(
        "Nothing is restored or applied. Two archives that print the same for one gid and BULK have the same content.\n"
        "SIZE limits what is read, PCT has no effect.",
        "walbc -s a0 bhash vol0 9 --wait",
    ),
    "virt-full-scan": Explanation(
        "Nothing is restored or applied. A file appears when all has arrived, zeros in it are holes; a block device\n"
        "must be as large as the image. SIZE limits what is read, PCT is the share of time the archive sleeps.",
        "walbc -s a0 virt-full-scan /backup/vol0.img vol0 9 --wait",
    ),
    "get": Explanation(
        "Prints values alone, one per line, for scripts; nothing for an empty list. Times are UTC, --- for never.",
        "walbc -s a0 get restorable vol0 all",
    ),
    "exec": Explanation(
        "Prints the lines the program writes to stdout. The server has to be started with -allow-exec.\n"
        "Options after PATH are the program's; one --- before PATH is dropped.",
        "walbc -s s0 exec /bin/df -h",
    ),
    "shutdown": Explanation(
        "The server goes on when the command has ended, unless --wait was given.",
        "walbc -s s0 shutdown --wait",
    ),
    "sleep": Explanation("For tests. Needs a time-out (-to) that is longer.", "walbc -to 20 -s s0 sleep 15"),
    "version": Explanation("Without a server: walbc -h shows the version of walbc.", "walbc -s s0 version"),
    "gc-diff": Explanation(
        "Deletes diffs that the base image or another diff contains. No action may be running.",
        "walbc -s a0 gc-diff vol0",
    ),
    "dbg-reload-metadata": Explanation(
        "For who has repaired files by hand. No action may be running.", "walbc -s a0 dbg-reload-metadata vol0"
    ),
    "dbg-set-uuid": Explanation(
        "Diffs of another log are taken from then on: a wrong uuid ruins the volume.",
        "walbc -s a0 dbg-set-uuid vol0 000102030405060708090a0b0c0d0e0f",
    ),
    "dbg-set-state": Explanation(
        "A wrong state lets commands do what they must not.", "walbc -s a0 dbg-set-state vol0 Stopped"
    ),
    "dbg-set-base": Explanation(
        "A wrong state of the base makes every later snapshot wrong.",
        "walbc -s a0 dbg-set-base vol0 '<|9|>-20261123010500'",
    ),
    "dbg-dump-logpack-header": Explanation(
        "The file logpackheader-LSID is made: the raw physical block.", "walbc -s s0 dbg-dump-logpack-header vol0 1320"
    ),
    "top": Explanation(
        "Shows the servers named, or that of -a and -p or -s, or all of the servers file; a page every 2 s.\n"
        "LAG is how much older the latest snapshot of an archive is than that of the storage.\n"
        "q ends it, arrows scroll; where there is no terminal --once prints one page.",
        "walbc top s0 p0 a0",
    ),
    "completion": Explanation(
        "bash: write it to /etc/bash_completion.d/walbc, or eval it in ~/.bashrc. zsh: to a file _walbc in a folder\n"
        "of fpath. fish: to ~/.config/fish/completions/walbc.fish. Names of servers come from the servers file.",
        "walbc completion bash",
    ),
}
"""By name of the command."""

_DIFFS = ("|2|-->|3| M- 2026-11-23T01:02:00 19879", "|3|-->|5| -- 2026-11-23T01:03:00 4177")
_WORK = (
    "name:vol0\tkind:restore\tbegin:2026-11-23T01:38:56\tend:2026-11-23T01:39:04\tdone:8388608\ttotal:8388608\t"
    "unit:bytes\tphase:\tresult:succeeded",
)
_UUID = ("000102030405060708090a0b0c0d0e0f",)

ANSWERS: dict[str, tuple[str, ...]] = {
    "status": (
        "hostType archive",
        "volume vol0",
        "state SyncReady",
        "action Merge 0 Apply 0 Restore 0",
        "progressLb 0",
    ),
    "snapshot": ("14",),
    "bhash": _UUID,
    "version": ("version:1.0.19\tbuild_date:2026-11-23T01:00:00\tlog_version:2",),
    "list": ("a0", "a1"),
    "get": ("localhost:10200 gzip:9:2 30",),
    "all-actions": ("vol0 Merge 0 --- Apply 0 --- Restore 0 2026-11-23T01:38:56 ReplSyncAsClient 0 --- Resize 0 ---",),
    "applicable-diff": _DIFFS,
    "archive-uuid": _UUID,
    "base": ("<|0|>-20261123010000",),
    "base-all": ("name:vol0\tmetastate:<|0|>-20261123010000",),
    "cold": ("5",),
    "diff": _DIFFS,
    "disk-space": ("free_bytes:53687091200\ttotal_bytes:107374182400\treserve_bytes:1073741824\talarm:0",),
    "exists-base-image": ("1",),
    "exists-diff": ("1",),
    "handler-stat": ("PROTOCOL_COUNT\tget\tc0\t12", "PROTOCOL_LATENCY\tget\t0.000214", "GET_COUNT\tstate\tc0\t12"),
    "host-type": ("archive",),
    "is-overflow": ("0",),
    "is-wdiff-send-error": ("0",),
    "last-result": _WORK,
    "latest-snap": ("name:vol0\tkind:archive\tgid:9\ttimestamp:2026-11-23T01:05:00",),
    "log-usage": ("name:vol0\tusage_pb:55\tcapacity_pb:100000\tpbs:512",),
    "meta-snap": ("|5|",),
    "meta-state": ("<|0|-->|9|>-20261123010500",),
    "num-action": ("0",),
    "num-diff": ("5",),
    "overflow-eta": ("86400",),
    "pid": ("18043",),
    "progress": ("0",),
    "proxy-diff": _DIFFS,
    "restorable": ("5 2026-11-23T01:03:00 1", "9 2026-11-23T01:05:00 1"),
    "restored": ("5", "9"),
    "restored-path": ("/var/walb/a0/vol0/wr_vol0_5",),
    "state": ("Archived",),
    "tasks": _WORK,
    "thinpool": ("tp0",),
    "total-diff-size": ("70606",),
    "ts-delta": (
        "name:vol0\tdest:a1\tkind:archive\tdest_kind:archive\tgid:9\tts:2026-11-23T01:05:00\tdest_gid:9\t"
        "dest_ts:2026-11-23T01:05:00\tts_delta:0",
    ),
    "uuid": _UUID,
    "vol": ("vol0", "vol1"),
    "vol-size": ("16384",),
    "volume-group": ("vg0",),
}
"""Lines answered, by name of the command or form."""
