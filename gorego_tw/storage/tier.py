"""The local tier as a whole: its parts put together, opened and closed."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from twisted.application.service import IService
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from gorego_tw.concurrency import Periodic
from gorego_tw.errors import StatusError
from gorego_tw.storage.arrival import Arrivals
from gorego_tw.storage.ballast import Ballast
from gorego_tw.storage.checkpoint_schedule import CheckpointSchedule
from gorego_tw.storage.checkpoints import Checkpoints
from gorego_tw.storage.disk_threads import DiskThreads
from gorego_tw.storage.doubt import ALWAYS, NO_DOUBT
from gorego_tw.storage.environment import Environment, IndexDamaged
from gorego_tw.storage.evicted import Evicted
from gorego_tw.storage.files import BlobFiles
from gorego_tw.storage.folder import Folder, FolderError
from gorego_tw.storage.index import Index
from gorego_tw.storage.index_damage import CrashNote
from gorego_tw.storage.index_opening import Ending, OpenedIndex, open_index
from gorego_tw.storage.index_place import note_place
from gorego_tw.storage.inventory import Inventory
from gorego_tw.storage.last_use import LastUse
from gorego_tw.storage.local import LocalActionResults, LocalBlobs
from gorego_tw.storage.page_table import PageTable
from gorego_tw.storage.reconciliation import Reconciliation
from gorego_tw.storage.salvage import Salvage
from gorego_tw.storage.scrub import Scrub
from gorego_tw.storage.set_aside import SetAside
from gorego_tw.storage.space import Space, headroom_bytes
from gorego_tw.storage.stable_storage import boot_id
from gorego_tw.storage.trimming import Trimming
from gorego_tw.storage.unknown_files import UnknownFiles
from gorego_tw.storage.unreadable import Unreadable
from gorego_tw.storage.uploads import Uploads
from gorego_tw.storage.verified_files import VerifiedFiles

#: How often the clock is looked at for last uses, in seconds, which is as exact as they are.
TICK_SECONDS = 1.0


class Upkeep(NamedTuple):
    """How much is done for what is stored.

    :ivar checkpoint_seconds: how much time a power cut costs at most, in seconds.
    :ivar scrub_bytes_per_second: how much is compared with its hash, in bytes per second; 0 for nothing.
    """

    checkpoint_seconds: float = 30.0
    scrub_bytes_per_second: int = 0


DEFAULT_UPKEEP = Upkeep()


@dataclass(frozen=True)
class LocalTier:
    """The open local tier.

    :ivar blobs: its CAS.
    :ivar action_results: its action cache, not checked for completeness.
    :ivar uploads: blobs that clients send.
    :ivar arrivals: blobs that come from elsewhere, and are read while they come.
    :ivar inventory: both stores' entries, for who evicts them.
    :ivar verified: the files that were found right.
    :ivar evicted: what was evicted lately.
    :ivar crash_note: notes crashes in LMDB, for the next start.
    :ivar ending: how the tier was found.
    :ivar reconciliation: compares index and files if they may not be in step.
    :ivar set_aside: damaged indexes, which go when there is no room for them.
    :ivar salvage: brings back what is left in a damaged index.
    :ivar trimming: keeps the index's file from taking more than it needs.
    :ivar ballast: room for making room.
    :ivar scrub: compares what is stored with its hash.
    """

    folder: Folder
    crash_note: CrashNote
    environment: Environment
    checkpoints: Checkpoints
    ending: Ending
    index: Index
    files: BlobFiles
    space: Space
    last_use: LastUse
    inventory: Inventory
    verified: VerifiedFiles
    evicted: Evicted
    blobs: LocalBlobs
    action_results: LocalActionResults
    uploads: Uploads
    arrivals: Arrivals
    reconciliation: Reconciliation
    set_aside: SetAside
    salvage: Salvage
    scrub: Scrub
    unreadable: Unreadable
    trimming: Trimming
    ballast: Ballast
    upkeep: Upkeep
    clock: IReactorTime
    threads: DiskThreads

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        limit_bytes: int,
        free_reserve_bytes: int,
        clock: IReactorTime,
        threads: DiskThreads,
        upkeep: Upkeep = DEFAULT_UPKEEP,
        boot: str | None = None,
        notes_crashes: bool = False,
    ) -> Self:
        """Take the folder, bring it in step after a crash, and be ready.

        :param limit_bytes: how much it may take, in bytes.
        :param free_reserve_bytes: how much it leaves free on the file system, in bytes.
        :param threads: running, or started before the reactor is.
        :param boot: which boot of the machine this is, if not the one that the system says.
        :param notes_crashes: whether this is the process that a crash in LMDB would end, so that it is noted.
        :raises FolderError: the folder cannot be used; the message is one line for the operator.
        """
        folder = Folder(directory)
        with ExitStack() as undo:
            undo.callback(folder.close)
            try:
                ballast = Ballast(folder.path / "ballast", free_reserve_bytes)
                had_ballast = ballast.held
                crash_note = CrashNote(folder)
                undo.callback(crash_note.end)
                opened = open_index(
                    folder,
                    limit_bytes,
                    boot_id() if boot is None else boot,
                    ballast=ballast,
                    entering=crash_note.begin if notes_crashes else bool,
                )
                undo.callback(opened.close)
                tier = cls._put_together(
                    folder,
                    opened,
                    limit_bytes,
                    free_reserve_bytes,
                    upkeep,
                    ballast=ballast,
                    crash_note=crash_note,
                    clock=clock,
                    threads=threads,
                )
                if not had_ballast:  # or it has been needed just now
                    with suppress(OSError):  # there will be room later
                        ballast.take()
                opened.checkpoints.distrust = tier.distrust
                tier.inventory.recover(killed=opened.ending is Ending.KILLED)
                tier.uploads.restore(whole=opened.ending is not Ending.POWER_CUT)
            except (OSError, StatusError, IndexDamaged) as error:
                raise FolderError(f"{directory}: {error}") from error
            undo.pop_all()
        return tier

    @property
    def services(self) -> tuple[IService, ...]:
        """What has to run while the tier is in use: new services at each call."""
        flush = Periodic("flush of last uses", self._flush_if_due, TICK_SECONDS, self.clock)
        self.last_use.crowded = flush.wake
        schedule = CheckpointSchedule(
            self.checkpoints, self.upkeep.checkpoint_seconds, self.threads, self.clock
        )
        self.space.keep_pace = schedule.keep_pace
        return (
            flush,
            schedule,
            self.trimming,
            self.reconciliation,
            self.salvage,
            self.scrub,
            self.unreadable,
            PageTable(self.folder.index / "data.mdb", self.threads),
        )

    async def checkpoint(self) -> None:
        """Bring everything to stable storage."""
        await self.checkpoints.take(self.threads)

    def distrust(self, since: int) -> None:
        """Let files be hashed before they are served that were written since then.

        :param since: in nanoseconds since the epoch.
        """
        until = ALWAYS
        with suppress(OSError):
            until = self.checkpoints.file_system_time()
        doubt = (self.inventory.doubt or NO_DOUBT).joined(since, until)
        self.inventory.doubt = doubt
        self.verified.forget(since)
        with suppress(StatusError):  # it is kept in memory
            doubt.write(self.environment)

    async def empty_trash(self) -> None:
        """Delete the files of what was evicted."""
        doomed = self.space.doomed_bytes, self.space.doomed_files
        await self.threads.run(self.files.empty_trash)
        self.space.emptied(*doomed)

    async def flush(self) -> None:
        """Write the last uses down, all of them at once: for when no calls are served."""
        while self.last_use.flush_slice():
            await self.checkpoints.take_if_due(self.threads)
        self.last_use.note()

    async def close(self) -> None:
        """Keep everything for the next time and let go of the folder. No call may be under way."""
        try:
            await self.uploads.close()
            await self.flush()
            await self.empty_trash()
            await self.checkpoints.take(self.threads, clean=True)
            note_place(self.folder.index, ended=True)
        finally:
            self.checkpoints.close()
            self.environment.close()
            self.folder.close()

    async def _flush_if_due(self) -> None:
        self.last_use.tick()
        while self.last_use.due:
            while self.last_use.flush_slice():
                # A disk that cannot follow, or fails, is not given more; the rest is written later.
                try:
                    await self.checkpoints.take_if_due(self.threads)
                except StatusError:
                    return
                await deferLater(self.clock, self.last_use.rest_seconds)

    @classmethod
    def _put_together(
        cls,
        folder: Folder,
        opened: OpenedIndex,
        limit_bytes: int,
        free_reserve_bytes: int,
        upkeep: Upkeep,
        *,
        ballast: Ballast,
        crash_note: CrashNote,
        clock: IReactorTime,
        threads: DiskThreads,
    ) -> Self:
        environment = opened.environment
        index = Index(environment)
        files = BlobFiles(folder)
        set_aside = SetAside()
        unknown = UnknownFiles(index, files, limit_bytes - headroom_bytes(limit_bytes))
        space = Space(
            limit_bytes,
            free_reserve_bytes,
            stored=lambda: index.stored_bytes() + set_aside.size_bytes,
            in_files=lambda: index.file_bytes + set_aside.size_bytes,
            free=files.free_bytes,
            lacking_files=files.lacking_files,
            most_files=lambda: index.most_files,
            unknown=lambda: unknown.size_bytes,
            clock=clock,
        )
        files.doomed = space.doom
        space.is_held_back = lambda: opened.checkpoints.behind
        last_use = LastUse(index, clock)
        verified = VerifiedFiles(clock)
        inventory = Inventory(index, files, last_use, space, verified)
        unreadable = Unreadable(inventory, files, threads, clock)
        inventory.is_unreadable = unreadable.is_noted
        inventory.placing = unknown.replaced
        inventory.doubt = opened.doubt
        return cls(
            folder=folder,
            crash_note=crash_note,
            environment=environment,
            checkpoints=opened.checkpoints,
            ending=opened.ending,
            index=index,
            files=files,
            space=space,
            last_use=last_use,
            inventory=inventory,
            verified=verified,
            evicted=Evicted(),
            blobs=LocalBlobs(
                inventory,
                files=files,
                space=space,
                last_use=last_use,
                threads=threads,
                verified=verified,
                may_pass=unreadable.may_pass,
                clock=clock,
            ),
            action_results=LocalActionResults(index, inventory, space, last_use),
            uploads=Uploads(inventory, files=files, space=space, threads=threads, clock=clock),
            arrivals=Arrivals(inventory, files=files, space=space, threads=threads, clock=clock),
            reconciliation=Reconciliation(
                environment,
                index,
                inventory,
                files=files,
                unknown=unknown,
                last_use=last_use,
                threads=threads,
                clock=clock,
            ),
            set_aside=set_aside,
            salvage=Salvage(
                folder,
                environment,
                index,
                set_aside=set_aside,
                space=space,
                last_use=last_use,
                threads=threads,
                clock=clock,
            ),
            scrub=Scrub(
                upkeep.scrub_bytes_per_second,
                environment=environment,
                index=index,
                inventory=inventory,
                files=files,
                may_pass=unreadable.may_pass,
                threads=threads,
                clock=clock,
            ),
            unreadable=unreadable,
            trimming=Trimming(environment, threads, clock),
            ballast=ballast,
            upkeep=upkeep,
            clock=clock,
            threads=threads,
        )
