"""Keeps alive in the backing cache what is served here.

The backing cache does not see what the local tier answers. Without a word from us it would
evict first what is asked for most. The local tier tells which blobs were used when it writes
that down, once a minute, so that a hit costs nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from twisted.internet.interfaces import IReactorTime
from txaio.tx import make_logger

from gorego_tw.concurrency import Periodic
from gorego_tw.digest import Digest
from gorego_tw.errors import StatusError
from gorego_tw.interfaces import IBlobAccess
from gorego_tw.replication.presence import Presence

#: How often some of them are renewed, in seconds: a minute's budget leaves in this many parts.
TICK_SECONDS = 10.0

#: What is lost of a digest where its tenths are added up.
_ROUNDING = 1e-6

#: How many used digests wait for their turn: some 250 bytes each, 16 MB at most.
MOST_WAITING = 65_536


class Used:
    """The digests that were used here and not renewed since, the longest waiting first.

    :ivar dropped: how many uses were not noted, because too many were waiting.
    """

    def __init__(self, most: int = MOST_WAITING) -> None:
        self.dropped = 0
        self._most = most
        self._waiting: dict[Digest, None] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def note(self, digests: Collection[Digest]) -> None:
        """They were used."""
        if len(self._waiting) + len(digests) > self._most:
            self.dropped += len(digests)
        else:
            self._waiting.update(dict.fromkeys(digests))

    def take(self, count: int) -> list[Digest]:
        """Up to so many of them, which wait no more."""
        taken = list(self._waiting)[:count] if count < len(self._waiting) else list(self._waiting)
        for digest in taken:
            del self._waiting[digest]
        return taken


class Renewal(Periodic):
    """Asks the backing cache for what was used here, which renews it there.

    :param used: what was.
    :param remote: the backing cache.
    :param gone: told of blobs that turned out not to be there.
    :param renewed: remembers what was renewed, and therefore is not again for a while.
    :param per_minute: how many digests are renewed in a minute at most.
    :ivar count: how many were renewed.
    :ivar absent: how many turned out to be gone there.
    """

    _log = make_logger()

    def __init__(
        self,
        used: Used,
        remote: IBlobAccess,
        *,
        gone: Callable[[Collection[Digest]], object],
        renewed: Presence,
        per_minute: int,
        clock: IReactorTime,
    ) -> None:
        super().__init__("renewal in the backing cache", self.renew, TICK_SECONDS, clock)
        self.count = 0
        self.absent = 0
        self._used = used
        self._remote = remote
        self._gone = gone
        self._renewed = renewed
        self._per_tick = per_minute * TICK_SECONDS / 60
        self._budget = 0.0

    async def renew(self) -> None:
        """Renew as many as the budget of one tick allows."""
        # What is left of one tick, less than one digest, is for the next ones.
        self._budget = min(self._budget, 1.0) + self._per_tick
        due: list[Digest] = []
        while (room := int(self._budget + _ROUNDING) - len(due)) > 0 and (
            used := self._used.take(room)
        ):
            due += self._renewed.unknown(used)
        if not due:
            return
        self._budget -= len(due)
        try:
            missing = await self._remote.find_missing(due)
        except StatusError as error:
            # What could not be renewed is noted again when it is used again.
            self._log.debug("renewal: {error}", error=error)
            return
        self._gone(missing)
        self._renewed.add(due)
        self.count += len(due) - len(missing)
        self.absent += len(missing)
