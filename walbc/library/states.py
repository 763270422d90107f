"""Names of states and actions, and the sets the library waits for (python-library.md section 3). Prefixes: s storage,
p proxy, a archive; t a temporary state, a an action."""

from __future__ import annotations

# Storage.
sClear = "Clear"
sSyncReady = "SyncReady"
sStopped = "Stopped"
sTarget = "Target"
sStandby = "Standby"

stInitVol = "InitVol"
stClearVol = "ClearVol"
stStartStandby = "StartStandby"
stStopStandby = "StopStandby"
stFullSync = "FullSync"
stHashSync = "HashSync"
stStartTarget = "StartTarget"
stStopTarget = "StopTarget"
stReset = "Reset"

saWlogSend = "WlogSend"
saWlogRemove = "WlogRemove"

sDuringFullSync = [stFullSync, sStopped, stStartTarget]
sDuringHashSync = [stHashSync, sStopped, stStartTarget]
sDuringStopForTarget = [sTarget, stStopTarget]
sDuringStopForStandby = [sStandby, stStopStandby]

# Proxy.
pClear = "Clear"
pStopped = "Stopped"
pStarted = "Started"

ptStart = "Start"
ptStop = "Stop"
ptClearVol = "ClearVol"
ptAddArchiveInfo = "AddArchiveInfo"
ptDeleteArchiveInfo = "DeleteArchiveInfo"
ptWlogRecv = "WlogRecv"
ptWaitForEmpty = "WaitForEmpty"

pActive = [pStarted, ptWlogRecv]
pDuringStop = [*pActive, ptStop, ptWaitForEmpty]

# Archive.
aClear = "Clear"
aSyncReady = "SyncReady"
aArchived = "Archived"
aStopped = "Stopped"

atInitVol = "InitVol"
atClearVol = "ClearVol"
atResetVol = "ResetVol"
atResync = "Resync"
atFullSync = "FullSync"
atHashSync = "HashSync"
atWdiffRecv = "WdiffRecv"
atReplSync = "ReplSyncAsServer"
atStop = "Stop"
atStart = "Start"

aaMerge = "Merge"
aaApply = "Apply"
aaRestore = "Restore"
aaReplSync = "ReplSyncAsClient"
aaResize = "Resize"

aActive = [aArchived, atWdiffRecv, atHashSync, atReplSync]
aAcceptForResize = [*aActive, aStopped, aSyncReady]
aAcceptForClearVol = [aStopped, aSyncReady]
aDuringReplicate = [atReplSync, atFullSync, atResync]
aDuringStop = [*aActive, atStop]
aDuringFullSync = [atFullSync]
aDuringHashSync = [atHashSync]
