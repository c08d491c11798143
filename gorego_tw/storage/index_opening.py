"""Opening the index after whatever has happened to it.

==========================  ======================================================================
how it ended                what is done
==========================  ======================================================================
it was closed               nothing
kill -9                     nothing: what was written is in the hands of the kernel
no record of a checkpoint   files are compared with it: it may be one that was being made from them
copied, or of a copy        files are compared with it: it may be older than they are, or later
power cut                   the index goes back to the last checkpoint; then files are compared with it
damaged, or not ours        the same, if that helps; else it is set aside, and made anew from the files
                            and the small blobs that are left in it; action results are lost
damage was met in use       it is set aside at once: what the damage is in may not be seen from outside
==========================  ======================================================================

A power cut is told from a kill by the boot: without a clean end, and in another boot than now.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import Enum
from math import inf
from pathlib import Path
from typing import NamedTuple

from txaio.tx import make_logger

from gorego_tw.errors import ResourceExhausted
from gorego_tw.storage.ballast import Ballast
from gorego_tw.storage.checkpoint_record import CheckpointRecord
from gorego_tw.storage.checkpoints import Checkpoints
from gorego_tw.storage.doubt import ALWAYS, NO_DOUBT, Doubt
from gorego_tw.storage.environment import Environment, IndexDamaged
from gorego_tw.storage.failures import FULL
from gorego_tw.storage.folder import Folder
from gorego_tw.storage.index_check import LOOK_SECONDS, IndexCheck
from gorego_tw.storage.index_damage import crashed, forget_met, met_in_use
from gorego_tw.storage.index_place import note_place, was_elsewhere
from gorego_tw.storage.lmdb_pages import DamagedPage, two_metas
from gorego_tw.storage.set_aside import set_aside

#: After so many starts in a row that ended badly and soon the trees are looked at for longer, in
#: seconds: an index with a damaged page may be what ends the process. Where no crash was noted, but it was
#: killed, perhaps because it did not answer any more, that is done at this one, at the one with twice the number
#: and so on: where something else kills each process soon, not all of them are to begin with it.
SUSPICIOUS_STARTS = 3
LONG_LOOK_SECONDS = 30.0

_log = make_logger()


class Ending(Enum):
    """How the index was left."""

    NEW = "new"
    CLOSED = "closed"
    KILLED = "killed"
    POWER_CUT = "power cut"
    LOST = "lost"


class OpenedIndex(NamedTuple):
    """The index, ready for use.

    :ivar ending: how it was found.
    :ivar doubt: what has to be found out about the files; None if they are as the index says.
    """

    environment: Environment
    checkpoints: Checkpoints
    ending: Ending
    doubt: Doubt | None

    def close(self) -> None:
        """Let go of it. What was not brought to stable storage may not be there."""
        self.checkpoints.close()
        self.environment.close()


def open_index(
    folder: Folder,
    limit_bytes: int,
    boot_id: str,
    *,
    ballast: Ballast,
    entering: Callable[[], object] = bool,
) -> OpenedIndex:
    """Open it, or make a new one.

    :param boot_id: which boot this is.
    :param ballast: thrown away if there is no room on the disk.
    :param entering: called before LMDB sees the file.
    :raises OSError: files cannot be read or written.
    :raises StatusError: the disk fails, or has no room.
    """
    try:
        return _open(folder, limit_bytes, boot_id, entering)
    except (OSError, ResourceExhausted) as error:
        is_full = isinstance(error, ResourceExhausted) or error.errno in FULL
        if not (is_full and ballast.throw()):
            raise
    return _open(folder, limit_bytes, boot_id, entering)


def _open(
    folder: Folder, limit_bytes: int, boot_id: str, entering: Callable[[], object]
) -> OpenedIndex:
    record = CheckpointRecord.read(folder.index)
    ending = _ending(folder, record, boot_id)
    try:
        ending = _prepare(folder, record, ending)
        entering()
        environment = Environment(folder.index, limit_bytes)
    except (DamagedPage, IndexDamaged) as error:
        kept = set_aside(folder)
        _log.error(
            "the index is damaged: {error}; kept as {kept}, a new one is made from the files and what is left in it",
            error=error,
            kept=kept,
        )
        ending = Ending.LOST
        environment = Environment(folder.index, limit_bytes)
    checkpoints = Checkpoints(environment, folder.index, boot_id)
    opened = OpenedIndex(environment, checkpoints, ending, None)
    try:
        opened = opened._replace(doubt=_doubt(opened, record, folder.index))
        note_place(folder.index)
        checkpoints.start(
            record.since if record is not None and ending is Ending.KILLED else None,
            0 if record is None or record.clean else record.starts + 1,
        )
    except BaseException:
        opened.close()
        raise
    return opened


def _ending(folder: Folder, record: CheckpointRecord | None, boot_id: str) -> Ending:
    data = folder.index / "data.mdb"
    if not data.exists() or not data.stat().st_size:
        return Ending.LOST if any(folder.cas.iterdir()) else Ending.NEW
    if record is None:
        return Ending.KILLED
    if record.clean:
        return Ending.CLOSED
    # Where the system tells of no boots each may be another one.
    return Ending.KILLED if boot_id and record.boot_id == boot_id else Ending.POWER_CUT


def _prepare(folder: Folder, record: CheckpointRecord | None, ending: Ending) -> Ending:
    """Make a file of it that LMDB may see.

    :raises DamagedPage: it cannot be.
    :raises IndexDamaged: the process before has met damage that no look from outside may find.
    """
    path = folder.index
    if ending in (Ending.NEW, Ending.LOST):
        forget_met(folder)  # in another index
        if ending is Ending.LOST:
            _log.warn("there are files and no index: it is made anew from them")
            # It is of the index that is gone. Until the new one has its own, files are compared with it.
            CheckpointRecord.forget(path)
        return ending
    if met := met_in_use(folder):
        raise IndexDamaged(met)
    seconds = _look_seconds(folder, record)
    if ending is Ending.POWER_CUT and record is not None:
        _log.warn("the machine went down meanwhile: the index goes back to the last checkpoint")
        _go_back(path, record, seconds)
        return ending
    try:
        _check(path, seconds)
    except DamagedPage as error:
        if record is None:
            raise
        _log.error("the index is damaged: {error}; back to the last checkpoint", error=error)
        _go_back(path, record, seconds)
        return Ending.POWER_CUT
    return ending


def _look_seconds(folder: Folder, record: CheckpointRecord | None) -> float:
    """How long the trees are looked at.

    :raises IndexDamaged: to look at them has not helped.
    """
    starts = 0 if record is None else record.starts
    if not crashed(folder):
        times, rest = divmod(starts, SUSPICIOUS_STARTS)
        is_power_of_two = times > 0 and times & (times - 1) == 0
        return LONG_LOOK_SECONDS if is_power_of_two and not rest else LOOK_SECONDS
    if starts >= SUSPICIOUS_STARTS:
        raise IndexDamaged("process after process crashed in it")
    return inf


def _check(path: Path, seconds: float, head: bytes | None = None) -> None:
    found = IndexCheck(path / "data.mdb", seconds, head=head)
    if found.names and b"blobs" not in found.names:
        raise DamagedPage("an LMDB file of another program")


def _go_back(path: Path, record: CheckpointRecord, seconds: float) -> None:
    head = two_metas(record.meta)
    _check(path, seconds, head)
    fd = os.open(path / "data.mdb", os.O_RDWR | os.O_CLOEXEC)
    try:
        os.pwrite(fd, head, 0)
        os.fsync(fd)
    finally:
        os.close(fd)


def _doubt(opened: OpenedIndex, record: CheckpointRecord | None, path: Path) -> Doubt | None:
    """What is to be found out, written down so that a kill does not end it."""
    found = Doubt.read(opened.environment)
    if opened.ending is Ending.LOST:
        # Nothing is known of any file, so none has to be doubted.
        found = Doubt(0, 0, verify=False)
    elif record is None and opened.ending is Ending.KILLED:
        found = found or Doubt(0, ALWAYS, verify=False)
    elif opened.ending is Ending.POWER_CUT and record is not None:
        # What was to be found out before is to be found out still.
        until = opened.checkpoints.file_system_time()
        if (
            until <= record.since
        ):  # the clock has gone back, and says nothing of what was written when
            until = ALWAYS
        found = (found or NO_DOUBT).joined(record.since, until)
    elif was_elsewhere(path):
        _log.warn("the index is a copy, or another one: files are compared with it")
        # What it says of a file holds if the file has its stamp; else the file is hashed anyway.
        found = found.joined(found.since, found.until) if found else Doubt(0, 0, verify=False)
    else:
        return found
    found.write(opened.environment)
    return found
