"""A volume of walb-storage: its device, records and states (servers.md sections 3.1 to 3.4, 3.9)."""

from __future__ import annotations

from walbd.device.control import CONTROL_SUFFIX
from walbd.device.device import DeviceInfo, LsidSet, WalbDevice
from walbd.device.resolve import device_key, resolve_device
from walbd.model.error import AlreadyExists, BadState, Cancelled, StorageFailure, WalbError
from walbd.model.lsid_gid import LsidGid
from walbd.model.transfer_plan import check_log_follows, check_log_kept, max_transfer_pb
from walbd.model.uuid_text import UUID_BYTES, uuid_hex
from walbd.server.state_machine import CLEAR
from walbd.server.stop_state import StopMode
from walbd.server.volume import Volume
from walbd.server.volume_files import VolumeFolder, create_folder, remove_folder, volume_folder
from walbd.storage.context import Context
from walbd.storage.monitor import DeviceMonitor
from walbd.storage.records import DONE, SnapshotRecords, initial_done, save_queue
from walbd.storage.states import (
    ACTIONS,
    CLEAR_VOL,
    EXISTING,
    MONITORED,
    RESET,
    RULES,
    STANDBY,
    START_STANDBY,
    START_TARGET,
    STATES,
    STOP_STANDBY,
    STOP_TARGET,
    STOPPED,
    SYNC_READY,
    TARGET,
)

DEVICE_FOLDER = "/dev/walb/"
# Devices sync their log within a tenth of a second.
DURABLE_LIMIT_SEC = 10.0


class StorageVolume(Volume):
    """One volume. Loading reads only files; the device is asked when it is needed, so that a device that is away fails
    tasks and commands, not the volume."""

    def __init__(
        self,
        name: str,
        context: Context,
        folder: VolumeFolder,
        path: str,
        records: SnapshotRecords,
        uuid: bytes,
        state: str,
    ) -> None:
        super().__init__(name, context.runtime, STATES, RULES, ACTIONS, state)
        self.context = context
        self.folder = folder
        self.path = path
        self.records = records
        self.uuid = uuid
        self.monitor = DeviceMonitor(self)
        self.trouble: WalbError | None = None
        """Why the last task failed; tasks are repeated until an operator has removed the reason."""
        self._device: WalbDevice | None = None

    def device(self) -> WalbDevice:
        """The walb device. Raises NotFound while there is none of that name; looks again at each call until then."""
        if self._device is None:
            self._device = resolve_device(self.path, self.context.settings.socket_dir)
        return self._device

    def max_pb(self, pbs: int) -> int:
        """The most log of one transfer."""
        return max_transfer_pb(self.context.settings.max_wlog_send_mib, pbs)

    async def check_log(self) -> tuple[DeviceInfo, LsidSet]:
        """The device, after making sure that its log is the one our records speak of (8.5 R1, W26). Raises BadState.

        Snapshots behind the end of the log are forgotten: a power failure has taken the log they stood for (those of
        walb-tools may be taken before their log is durable)."""
        done, newest = self.records.done, self.records.newest
        # The uuid last: it proves that the lsids were not those of another log.
        lsids = await self.device().lsids()
        info = await self.device().info()
        self.check_uuid(info, "stop and reset-vol the volume, then back it up anew")
        check_log_follows(done, lsids.latest)
        # Another task may have moved both on since `done` was read.
        check_log_kept(self.records.done, lsids.oldest)
        if newest.lsid > lsids.latest:
            lost = await self.records.drop_lost(lsids.latest, newest.gid)
            self.runtime.log.error(
                "snapshots lost with the end of the log", self.name, *(record.gid for record in lost)
            )
        return info, lsids

    def check_uuid(self, info: DeviceInfo, remedy: str) -> None:
        """Raises BadState when the log is not the one the volume was last begun with."""
        if info.uuid != self.uuid:
            raise BadState(
                f"log of {self.path} has uuid {uuid_hex(info.uuid)} instead of {uuid_hex(self.uuid)}:{self.name}",
                f"the log was cleared or the device replaced: {remedy}",
            )

    async def durable_log(self) -> tuple[DeviceInfo, int]:
        """The device and the end of its present log, once all of that is durable: a snapshot there stands for the same
        content after a power failure. Raises StorageFailure when it does not become durable."""
        info, lsids = await self.check_log()
        end_lsid, clock = lsids.latest, self.runtime.world.monotonic
        limit = clock() + DURABLE_LIMIT_SEC
        while lsids.permanent < end_lsid <= lsids.latest:
            left_sec = limit - clock()
            if left_sec <= 0:
                raise StorageFailure(
                    f"log of {self.path} does not become durable:{self.name}", "see the messages of its walb device"
                )
            lsids = await self.device().wait(lsids, left_sec)
        # It may have been cleared meanwhile.
        info, lsids = await self.check_log()
        return info, min(end_lsid, lsids.latest)

    def is_send_cancelled(self) -> bool:
        """Whether a transfer of log has to end: forced, or a backup has failed meanwhile and nothing is shipped now."""
        return self.is_cancelled() or not self.monitor.is_running

    def start_service(self) -> None:
        """Begins to watch the device and queues a first task."""
        self.trouble = None
        self.monitor.start()
        self.context.queue.push(self.name)

    def stop_service(self) -> None:
        """Ends watching and drops the queued task."""
        self.monitor.stop()
        self.context.queue.drop(lambda key: key == self.name)
        self.runtime.changes.notify()

    async def start_target(self) -> None:
        """Stopped -> Target."""
        self.check("start target")
        with self.machine.begin(START_TARGET) as change:
            info, _ = await self.check_log()
            if info.is_overflow:
                raise BadState(f"overflow:{self.name}:{self.path}", "reset-vol, then hash-bkp or full-bkp")
            await self.save_state(TARGET)
            change.commit()
        self.start_service()

    async def start_standby(self) -> None:
        """SyncReady -> Standby; an overflowed log is thrown away first."""
        self.check("start standby")
        with self.machine.begin(START_STANDBY) as change:
            info = await self.device().info()
            if info.is_overflow:
                await self.reset_log(self.records.last_gid)
            else:
                await self._save_uuid(info.uuid)
            await self.save_state(STANDBY)
            change.commit()
        self.start_service()

    async def snapshot(self) -> int:
        """An explicit snapshot of the device as it is now; durable when its gid is returned."""
        self.check("snapshot")
        info, end_lsid = await self.durable_log()
        if info.is_overflow:
            raise BadState(f"overflow:{self.name}:{self.path}", "the log is lost: reset-vol and a new backup")
        self.check("snapshot")
        record = await self.records.take(end_lsid, self.max_pb(info.pbs), is_mergeable=False)
        if self.machine.state in MONITORED:
            self.context.queue.push_force(self.name)
        return record.gid

    async def reset(self, gid: int) -> None:
        """Stopped -> SyncReady: throws the log away. The state is durable first, so that a crash half-way leaves a
        volume that must be backed up, never one that believes its log was sent (W25)."""
        self.check("reset-vol")
        with self.machine.begin(RESET) as change:
            try:
                await self.save_state(SYNC_READY)
                await self.reset_log(gid)
            except WalbError:
                # Stopped, as before: should the log be cleared already, its uuid tells.
                await self.save_state(STOPPED)
                raise
            change.commit()

    async def reset_log(self, gid: int) -> None:
        """Clears the device's log (new uuid, lsids from 0), then our records."""
        # A transfer that outlived a failed backup would read the new log as the old one.
        await self.runtime.changes.wait_for(lambda: not self.actions.total or self.is_cancelled())
        if self.is_cancelled():
            raise Cancelled(f"force stopped:{self.name}:reset of the log")
        await self.clear_log(gid)

    async def clear_log(self, gid: int) -> None:
        """As reset_log, for the task that is the only one at work on the log."""
        self.trouble = None
        await self.device().reset_wal()
        await self.records.reset(gid)
        await self._save_uuid((await self.device().info()).uuid)

    async def _save_uuid(self, uuid: bytes) -> None:
        await self.context.runtime.world.run(self.folder.save_uuid, "uuid", uuid)
        self.uuid = uuid

    async def clear(self) -> None:
        """SyncReady -> Clear: forgets the volume; the device is not touched."""
        self.check("clear-vol")
        with self.machine.begin(CLEAR_VOL) as change:
            await self.context.runtime.world.run(remove_folder, self.folder.files, self.folder.path)
            change.commit()
        self.context.volumes.remove(self.name)
        self.context.works.forget(self.name)
        if self._device is not None:
            await self._device.close()

    async def stop_for_overflow(self) -> None:
        """Target -> Stopped: log was lost, there is nothing left to send. A transfer that runs is ended."""
        self.runtime.log.error("StorageWorker", "overflow", self.name, self.path)
        if self.machine.is_static and self.machine.state == TARGET:
            with self.machine.begin(STOP_TARGET) as change:
                await self.save_state(STOPPED)
                change.commit()
            self.trouble = BadState(f"overflow:{self.name}:{self.path}", "reset-vol, then hash-bkp or full-bkp")
            self.stop_service()

    def stop_transition(self, mode: StopMode) -> str | None:
        return {TARGET: STOP_TARGET, STANDBY: STOP_STANDBY}.get(self.machine.state)

    async def end_service(self, mode: StopMode) -> None:
        # The state first: a volume that cannot be stopped goes on being served.
        await self.save_state(STOPPED if self.machine.state == STOP_TARGET else SYNC_READY)
        self.stop_service()

    async def save_state(self, state: str) -> None:
        """Makes a static state durable."""
        await self.context.runtime.world.run(self.folder.save_string, "state", state)


def stored_path(device: WalbDevice, spec: str) -> str:
    """What the file `path` holds: `/dev/walb/NAME` as the reference wants it, unless a control socket was named."""
    return spec if spec.endswith(CONTROL_SUFFIX) else DEVICE_FOLDER + device.name


async def init_volume(context: Context, name: str, spec: str) -> StorageVolume:
    """Clear -> SyncReady. Raises AlreadyExists, NotFound when there is no such device."""
    path = volume_folder(context.base, name)
    if context.volumes.find(name) is not None:
        state = context.volumes.state(name)
        raise BadState(f"StateMachineTransaction:bad state:{state}:{CLEAR}:InitVol", f"volume {name} exists already")
    device = resolve_device(spec, context.settings.socket_dir)
    try:
        await device.info()
        device_path = stored_path(device, spec)
    finally:
        await device.close()
    files, now = context.runtime.world.files, context.runtime.world.now()

    def fill(folder: VolumeFolder) -> None:
        save_queue(folder, [], salt=0)
        folder.save_string("path", device_path)
        folder.save_string("state", SYNC_READY)
        folder.save_record(DONE, initial_done(now))
        folder.save_uuid("uuid", bytes(UUID_BYTES))

    # Two at once must not both find the device free.
    async with context.init_lock:
        key = device_key(spec, context.settings.socket_dir)
        for other in context.volumes:
            if device_key(other.path, context.settings.socket_dir) == key:
                raise AlreadyExists(f"already used wdev:{device_path}:{other.name}", "use another walb device")
        await context.runtime.world.run(create_folder, files, path, fill)
        volume = await context.runtime.world.run(load_volume, context, name)
        context.volumes.add(volume)
        return volume


def load_volume(context: Context, name: str) -> StorageVolume:
    """The volume in BASE/name; blocks. Never raises a WalbError: a volume that cannot be read is marked failed."""
    world = context.runtime.world
    folder = VolumeFolder(world.files, context.base / name)
    try:
        path = folder.load_string("path")
        records = SnapshotRecords.load(world, folder)
        uuid, state = folder.load_uuid("uuid"), folder.load_state(frozenset(EXISTING))
        return StorageVolume(name, context, folder, path, records, uuid, state)
    except (WalbError, OSError) as caught:
        error = caught if isinstance(caught, WalbError) else StorageFailure(f"cannot read {folder.path}: {caught}")
        records = SnapshotRecords(world, folder, LsidGid(), [])
        volume = StorageVolume(name, context, folder, DEVICE_FOLDER + "unknown", records, bytes(UUID_BYTES), SYNC_READY)
        hint = error.hint or f"restore the files of {folder.path} and restart, or remove it and start with init-vol"
        volume.mark_failed(type(error)(error.message, hint))
        return volume
