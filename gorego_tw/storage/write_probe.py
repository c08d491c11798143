"""Whether the local tier can be written, found out by writing."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from gorego_tw.concurrency import Periodic
from gorego_tw.errors import StatusError
from gorego_tw.storage.disk_threads import DiskThreads
from gorego_tw.storage.failures import telling
from gorego_tw.storage.files import BlobFiles

#: How often it is tried, in seconds: less than a load balancer takes to give a server up.
PROBE_SECONDS = 5.0


class WriteProbe(Periodic):
    """Writes a file now and then, and deletes it.

    :param files: where.
    :ivar failure: what went wrong the last time; None if nothing did.
    """

    def __init__(self, files: BlobFiles, threads: DiskThreads, clock: IReactorTime) -> None:
        super().__init__("write probe", self.probe, PROBE_SECONDS, clock)
        self.failure: str | None = None
        self._files = files
        self._threads = threads
        self._clock = clock
        self._tried_at = clock.seconds()

    @property
    def age_seconds(self) -> float:
        """How long ago it was tried, in seconds."""
        return self._clock.seconds() - self._tried_at

    async def probe(self) -> None:
        """Try it."""
        try:
            with telling():
                await self._threads.run(self._files.try_to_write)
        except StatusError as error:
            self.failure = error.message
        else:
            self.failure = None
        self._tried_at = self._clock.seconds()
