"""The local tier as a whole: its parts put together, opened and closed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from twisted.application.service import IService
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from gorego_tw.concurrency import Periodic
from gorego_tw.errors import StatusError
from gorego_tw.storage.arrival import Arrivals
from gorego_tw.storage.disk_threads import DiskThreads
from gorego_tw.storage.environment import Environment, IndexDamaged
from gorego_tw.storage.evicted import Evicted
from gorego_tw.storage.files import BlobFiles
from gorego_tw.storage.folder import Folder, FolderError
from gorego_tw.storage.index import Index
from gorego_tw.storage.inventory import Inventory
from gorego_tw.storage.last_use import LastUse
from gorego_tw.storage.local import LocalActionResults, LocalBlobs
from gorego_tw.storage.space import Space
from gorego_tw.storage.uploads import Uploads

#: How often what is written is brought to stable storage, in seconds.
CHECKPOINT_SECONDS = 30.0

#: How often the clock is looked at for last uses, in seconds, which is as exact as they are.
TICK_SECONDS = 1.0

#: What slices of a flush leave to others between them, in seconds.
_PAUSE_SECONDS = 0.004


@dataclass(frozen=True)
class LocalTier:
    """The open local tier.

    :ivar blobs: its CAS.
    :ivar action_results: its action cache, not checked for completeness.
    :ivar uploads: blobs that clients send.
    :ivar arrivals: blobs that come from elsewhere, and are read while they come.
    :ivar inventory: both stores' entries, for who evicts them.
    :ivar evicted: what was evicted lately.
    """

    folder: Folder
    environment: Environment
    index: Index
    files: BlobFiles
    space: Space
    last_use: LastUse
    inventory: Inventory
    evicted: Evicted
    blobs: LocalBlobs
    action_results: LocalActionResults
    uploads: Uploads
    arrivals: Arrivals
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
    ) -> Self:
        """Take the folder, bring it in step after a crash, and be ready.

        :param limit_bytes: how much it may take, in bytes.
        :param free_reserve_bytes: how much it leaves free on the file system, in bytes.
        :param threads: running, or started before the reactor is.
        :raises FolderError: the folder cannot be used; the message is one line for the operator.
        """
        folder = Folder(directory)
        try:
            tier = cls._put_together(
                folder, limit_bytes, free_reserve_bytes, clock=clock, threads=threads
            )
            tier.inventory.recover()
            tier.uploads.restore()
        except (OSError, StatusError, IndexDamaged) as error:
            folder.close()
            raise FolderError(f"{directory}: {error}") from error
        return tier

    @property
    def services(self) -> tuple[IService, ...]:
        """What has to run while the tier is in use: new services at each call."""
        return (
            Periodic("flush of last uses", self._flush_if_due, TICK_SECONDS, self.clock),
            Periodic("checkpoint", self.checkpoint, CHECKPOINT_SECONDS, self.clock),
        )

    async def checkpoint(self) -> None:
        """Bring the index to stable storage."""
        self.environment.checkpoints += 1
        await self.threads.run(self.environment.sync)

    async def empty_trash(self) -> None:
        """Delete the files of what was evicted."""
        doomed = self.space.doomed_bytes
        await self.threads.run(self.files.empty_trash)
        self.space.doomed_bytes -= doomed

    async def flush(self) -> None:
        """Write the last uses down, all of them at once: for when no calls are served."""
        while self.last_use.flush_slice():
            pass

    async def close(self) -> None:
        """Keep everything for the next time and let go of the folder. No call may be under way."""
        await self.uploads.close()
        await self.flush()
        await self.empty_trash()
        await self.checkpoint()
        self.environment.close()
        self.folder.close()

    async def _flush_if_due(self) -> None:
        self.last_use.tick()
        if self.last_use.due:
            while self.last_use.flush_slice():
                await deferLater(self.clock, _PAUSE_SECONDS)

    @classmethod
    def _put_together(
        cls,
        folder: Folder,
        limit_bytes: int,
        free_reserve_bytes: int,
        *,
        clock: IReactorTime,
        threads: DiskThreads,
    ) -> Self:
        environment = Environment(folder.index, limit_bytes)
        index = Index(environment)
        files = BlobFiles(folder)
        space = Space(
            limit_bytes,
            free_reserve_bytes,
            stored=index.stored_bytes,
            free=files.free_bytes,
            clock=clock,
        )
        last_use = LastUse(index, clock)
        inventory = Inventory(index, files, last_use, space)
        return cls(
            folder=folder,
            environment=environment,
            index=index,
            files=files,
            space=space,
            last_use=last_use,
            inventory=inventory,
            evicted=Evicted(),
            blobs=LocalBlobs(
                inventory, files=files, space=space, last_use=last_use, threads=threads
            ),
            action_results=LocalActionResults(index, inventory, space, last_use),
            uploads=Uploads(inventory, files=files, space=space, threads=threads, clock=clock),
            arrivals=Arrivals(inventory, files=files, space=space, threads=threads, clock=clock),
            clock=clock,
            threads=threads,
        )
