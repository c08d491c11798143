"""Whether the local tier can be read and written, found out by trying."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from gorego_tw.concurrency import Periodic
from gorego_tw.errors import StatusError
from gorego_tw.storage.disk_threads import DiskThreads
from gorego_tw.storage.environment import Environment
from gorego_tw.storage.failures import telling
from gorego_tw.storage.files import BlobFiles

#: How often it is tried, in seconds: less than a load balancer takes to give a server up.
PROBE_SECONDS = 5.0

#: How long a try may take, in seconds. A disk that hangs does not answer, and does not fail either.
PATIENCE_SECONDS = 10.0


class WriteProbe(Periodic):
    """Writes a file now and then, deletes it, and reads a little of the index.

    :param files: where.
    """

    def __init__(
        self,
        files: BlobFiles,
        environment: Environment,
        threads: DiskThreads,
        clock: IReactorTime,
    ) -> None:
        super().__init__("write probe", self.probe, PROBE_SECONDS, clock)
        self._failure: str | None = None
        self._files = files
        self._environment = environment
        self._threads = threads
        self._clock = clock
        self._tried_at = clock.seconds()
        self._trying_since: float | None = None

    @property
    def failure(self) -> str | None:
        """What went wrong the last time, or goes wrong now; None if nothing does."""
        since = self._trying_since
        if since is not None and self._clock.seconds() - since > PATIENCE_SECONDS:
            seconds = self._clock.seconds() - since
            return f"local tier: a write has been under way for {seconds:.0f} s"
        return self._failure

    @property
    def age_seconds(self) -> float:
        """How long ago it was tried, in seconds."""
        return self._clock.seconds() - self._tried_at

    async def probe(self) -> None:
        """Try it."""
        self._trying_since = self._clock.seconds()
        try:
            self._environment.probe()
            with telling():
                await self._threads.run(self._files.try_to_write)
        except StatusError as error:
            self._failure = error.message
        else:
            self._failure = None
        finally:
            self._trying_since = None
        self._tried_at = self._clock.seconds()
