"""`make demo`: exit status 0 only when every snapshot was restored, identical and clean."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

from demo.filesystem import FileSystemError
from demo.group import BIN, HOST, CommandFailed, Group, Process
from demo.session import DEVICE, VOLUME, Row, Session
from walbd.model.error import WalbError

INTERRUPT_AGAIN_SEC = 0.1
INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
# Paths of Unix sockets are limited to 107 bytes, and those of devices have up to 30 more.
MAX_SOCKET_FOLDER = 75


def print_table(rows: list[Row]) -> None:
    """gid, time, log bytes, wdiff bytes, restore time, verdict."""
    print(f"\n{'gid':>5}  {'time (UTC)':19}  {'log bytes':>10}  {'wdiff bytes':>11}  {'restore':>8}  verdict")
    for row in rows:
        print(
            f"{row.gid:>5}  {row.time:19}  {row.log_bytes:>10}  {row.wdiff_bytes:>11}"
            f"  {row.restore_sec:>6.2f} s  {row.verdict}"
        )


def print_how_to_play(session: Session, group: Group) -> None:
    """What to type while the group keeps running."""
    walbc, last = f"{BIN / 'walbc'} -a {HOST}", session.taken[-1].gid
    print(f"\nThe group keeps running, its files are in {session.folder}. Try:")
    print(f"  {walbc} -p {group.storage_port} status {VOLUME}            # storage s0")
    print(f"  {walbc} -p {group.proxy_port} status {VOLUME}            # proxy p0")
    print(f"  {walbc} -p {group.archive_port} get restorable {VOLUME} all  # archive a0")
    print(f"  {walbc} -p {group.storage_port} snapshot {VOLUME}          # prints its gid")
    print(f"  {walbc} -p {group.archive_port} restore {VOLUME} {last} --wait")
    print(f"  {walbc} -p {group.archive_port} get restored-path {VOLUME} {last}")
    print(f"The device {DEVICE} serves NBD on {group.nbd_socket(DEVICE)}. End it all with:")
    for port in (group.storage_port, group.proxy_port, group.archive_port):
        print(f"  {walbc} -p {port} shutdown")
    print(f"  {BIN / 'wdevc'} delete-wdev {DEVICE} -s {group.socket_dir}")
    print(f"  rm -r {session.folder}")


def interrupt(_signal: int, _frame: FrameType | None) -> None:
    """Ctrl-C, SIGTERM, a closed terminal. Tried again until it is handled: Python drops what a destructor raises."""
    signal.setitimer(signal.ITIMER_REAL, INTERRUPT_AGAIN_SEC)
    if not Process.is_any_starting:
        raise KeyboardInterrupt


def ignore_interrupts() -> None:
    """From now on the group is being stopped; an impatient second Ctrl-C must not leave half of it running."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number in INTERRUPTS:
        signal.signal(number, signal.SIG_IGN)


def main() -> int:
    """Runs the demo; returns the exit status."""
    parser = argparse.ArgumentParser(prog="demo", description="Watch a file system being backed up and restored.")
    parser.add_argument("--keep", action="store_true", help="leave the group running and say how to play with it")
    arguments = parser.parse_args()
    for number in INTERRUPTS:
        signal.signal(number, interrupt)
    folder = Path(tempfile.mkdtemp(prefix="walb-demo-"))
    sockets = folder / "run"
    if len(str(sockets)) > MAX_SOCKET_FOLDER:
        sockets = Path(tempfile.mkdtemp(prefix="walb-demo-", dir="/tmp"))
    group = Group(folder, sockets)
    is_kept = False
    try:
        session = Session(folder, group)
        rows = session.run()
        print_table(rows)
        good = sum(row.is_identical and row.is_clean for row in rows)
        is_kept = arguments.keep
        if is_kept:
            print_how_to_play(session, group)
        print(f"\ndemo: {good} of {len(rows)} snapshots restored, identical and clean")
        return 0 if good == len(rows) else 1
    except KeyboardInterrupt:
        ignore_interrupts()
        print("\ndemo: interrupted; stopping the group", file=sys.stderr)
        return 130
    except (CommandFailed, FileSystemError, WalbError, TimeoutError, OSError) as error:
        print(f"demo: failed: {error}", file=sys.stderr)
        return 1
    finally:
        ignore_interrupts()
        if not is_kept:
            group.stop()
            shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(sockets, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
