"""The names states of storages had in 2014 (python-library.md section 1.1)."""

from __future__ import annotations

from walbc.library.states import sStopped, stFullSync, stHashSync

sMaster = "Master"
sSlave = "Slave"
stStartMaster = "StartMaster"
stStopMaster = "StopMaster"
stStartSlave = "StartSlave"
stStopSlave = "StopSlave"

sDuringFullSync = [stFullSync, sStopped, stStartMaster]
sDuringHashSync = [stHashSync, sStopped, stStartMaster]
sDuringStopForMaster = [sMaster, stStopMaster]
sDuringStopForSlave = [sSlave, stStopSlave]

_OLD_NAMES = {
    "Target": sMaster,
    "Standby": sSlave,
    "StartTarget": stStartMaster,
    "StopTarget": stStopMaster,
    "StartStandby": stStartSlave,
    "StopStandby": stStopSlave,
}
_NEW_NAMES = {old: new for new, old in _OLD_NAMES.items()}


def old_name(state: str) -> str:
    """The name of 2014 for a storage's state."""
    return _OLD_NAMES.get(state, state)


def new_name(state: str) -> str:
    """The present name of a state of either time."""
    return _NEW_NAMES.get(state, state)
