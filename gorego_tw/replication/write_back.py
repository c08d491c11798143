"""Uploads what was acknowledged before the backing cache had it."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable
from random import Random

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from txaio.tx import make_logger

from gorego_tw.concurrency import Periodic
from gorego_tw.digest import Digest
from gorego_tw.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    OutOfRange,
    PermissionDenied,
    StatusError,
    Unavailable,
    Unimplemented,
)
from gorego_tw.forwarding import carrying
from gorego_tw.interfaces import ActionKey, IActionResults, StoredActionResult
from gorego_tw.replication.rests import Rests
from gorego_tw.seldom import Seldom
from gorego_tw.storage.local import action_key
from gorego_tw.storage.pending import Entry, Pending

#: How many uploads are under way at the same time.
WIDTH = 16

#: How many uploads begin in one turn of the reactor: each may end at once, with a commit of 10 µs.
MOST_AT_ONCE = 64

#: How often it looks whether a rest is over, in seconds.
LOOK_SECONDS = 1.0

#: How long a stop waits for uploads under way, in seconds. The others begin anew at the next start.
STOP_SECONDS = 3.0

#: Failures that are most likely the same at every try, so that the entry would wait, pinned, until the queue
#: is full of its like and no write succeeds. But what was acknowledged is not given up because of one answer:
#: a configuration is mended, a credential replaced. It is dropped, and still served here, after
#: REFUSED_SECONDS with nothing else. Unauthenticated and ResourceExhausted are not of them.
_REFUSALS = (
    InvalidArgument,
    OutOfRange,
    FailedPrecondition,
    Unimplemented,
    PermissionDenied,
)

REFUSED_SECONDS = 3600.0

#: How much time passes between two lines in the log about refusals, in seconds.
TELL_SECONDS = 60.0


class WriteBack(Periodic):
    """Works the queue off, the oldest first. Blobs are older than the action results that need them.

    :param pending: what is to be uploaded.
    :param upload: copies one blob from the local tier; NotFound if that does not have it.
    :param ensure: makes sure that blobs are there; NotFound if one is nowhere.
    :param put_action: keeps an action result there.
    :param results: the action results of the local tier, whether complete or not.
    :param random: varies the rests.
    :param width: how many uploads are under way at most.
    :param may_ask: whether it is worth trying: the circuit breaker is closed.
    :param is_known: whether a blob was there a short while ago.
    :param forget: told of blobs that may have gone there since.
    :ivar uploaded: how many blobs and action results got there.
    :ivar lost: how many were dropped because they never would have.
    """

    _log = make_logger()

    def __init__(
        self,
        pending: Pending,
        *,
        upload: Callable[[Digest], Awaitable[None]],
        ensure: Callable[[Collection[Digest]], Awaitable[None]],
        put_action: Callable[[ActionKey, StoredActionResult], Awaitable[None]],
        results: IActionResults,
        clock: IReactorTime,
        random: Random,
        width: int = WIDTH,
        may_ask: Callable[[], bool],
        is_known: Callable[[Digest], bool],
        forget: Callable[[Collection[Digest]], None],
    ) -> None:
        super().__init__("upload queue", self._begin_some, LOOK_SECONDS, clock)
        self.uploaded = 0
        self.lost = 0
        self._pending = pending
        self._upload = upload
        self._ensure = ensure
        self._put_action = put_action
        self._results = results
        self._clock = clock
        self._width = width
        self._may_ask = may_ask
        self._is_known = is_known
        self._forget = forget
        # Each pending entry is in one of these.
        self._line = deque(pending)
        self._refusals_told = Seldom(TELL_SECONDS, clock, at_once=True)
        self._rests = Rests(clock, random)
        self._under_way: dict[bytes, Deferred[None]] = {}

    @property
    def depth(self) -> int:
        """How many entries are waiting or under way."""
        return len(self._pending)

    @property
    def size_bytes(self) -> int:
        """What they come to, in bytes."""
        return self._pending.size_bytes

    @property
    def oldest_age_seconds(self) -> float:
        """How long the oldest has been waiting, in seconds; 0 if there is none."""
        return self._pending.oldest_age_seconds

    async def add_blob(self, digest: Digest) -> None:
        """Upload that blob of the local tier. It will not be evicted before.

        :raises ResourceExhausted: too much is waiting already.
        """
        self._joined(self._pending.add_blob(digest))

    async def add_action(self, key: ActionKey) -> None:
        """Upload that action result of the local tier, after the blobs it refers to.

        :raises ResourceExhausted: too much is waiting already.
        """
        try:
            data, references = await self._results.get(key)
        except NotFound as error:
            raise Unavailable(f"{error.message}, which was evicted at once") from error
        unknown = [digest for digest in references if not self._is_known(digest)]
        self._joined(self._pending.add_action(key, len(data), unknown))

    def has_action(self, key: ActionKey) -> bool:
        """Whether that action result waits, or is on its way."""
        return self._pending.is_pinned(action_key(key))

    def wake(self) -> None:
        """Try everything now: the backing cache is well again."""
        self._line.extend(self._rests.end())
        super().wake()

    def stopService(self) -> Deferred[object]:
        """Begin nothing more.

        :returns: fires when what was under way has ended, or was broken off after a while.
        """
        return Deferred.fromCoroutine(self._stop(super().stopService()))

    async def _stop(self, ended: Deferred[object]) -> None:
        await ended
        work = DeferredList(list(self._under_way.values()))
        late = self._clock.callLater(STOP_SECONDS, work.cancel)
        await work
        if late.active():
            late.cancel()

    def _joined(self, keys: Iterable[bytes]) -> None:
        self._line.extend(keys)
        super().wake()

    async def _begin_some(self) -> None:
        # Behind the others: in front they would fail first after each rest, and begin another.
        self._line.extend(self._rests.rested())
        while self._may_begin():
            for _ in range(MOST_AT_ONCE):
                if not self._may_begin():
                    break
                self._begin_one(self._line.popleft())
            await deferLater(self._clock, 0)

    def _may_begin(self) -> bool:
        return (
            bool(self.running)
            and bool(self._line)
            and len(self._under_way) < self._width
            and self._rests.over
            and self._may_ask()
        )

    def _begin_one(self, key: bytes) -> None:
        # In a context of its own: nobody's credentials go with another's blob.
        entry = self._pending[key]
        work = carrying(entry.way).run(Deferred.fromCoroutine, self._carry_out(key, entry))
        self._under_way[key] = work
        work.addCallback(self._left, key)

    def _left(self, _: None, key: bytes) -> None:
        del self._under_way[key]
        super().wake()

    async def _carry_out(self, key: bytes, entry: Entry) -> None:
        times = entry.times
        try:
            refusal = await self._attempt(entry)
            self._settle(key, entry, times, refusal)
        except Exception as error:  # whatever it is, what was acknowledged is kept
            self._put_off(key, entry, error)

    async def _attempt(self, entry: Entry) -> StatusError | None:
        """Upload it; the failure, if it is not worth another try."""
        subject = entry.record.subject
        try:
            if isinstance(subject, ActionKey):
                await self._upload_action(subject)
            elif entry.record.may_be_there:
                await self._ensure((subject,))
            else:
                await self._upload(subject)
        except NotFound as error:  # it is here no more
            return error
        except _REFUSALS as error:
            if not self._was_refused_for_long(entry):
                raise
            return error
        return None

    def _was_refused_for_long(self, entry: Entry) -> bool:
        if entry.refused_since is None:
            entry.refused_since = self._clock.seconds()
            entry.failures = 0
        return self._clock.seconds() - entry.refused_since >= REFUSED_SECONDS

    async def _upload_action(self, key: ActionKey) -> None:
        result = await self._results.get(key)
        await self._ensure(result.references)
        try:
            await self._put_action(key, result)
        except FailedPrecondition:
            # A blob may have been evicted there since it was seen there.
            self._forget(result.references)
            await self._ensure(result.references)
            await self._put_action(key, result)

    def _settle(self, key: bytes, entry: Entry, times: int, refusal: StatusError | None) -> None:
        # A blob that is there is the same blob however often it was added.
        if entry.times != times and (refusal is not None or entry.record.is_action):
            self._line.append(key)
            return
        self._pending.done(key)
        if refusal is None:
            self._rests.succeeded()
            self.uploaded += 1
        else:
            self.lost += 1
            self._log.warn("upload queue: dropped {what}: {why}", what=entry.record, why=refusal)

    def _put_off(self, key: bytes, entry: Entry, error: Exception) -> None:
        if not self.running:
            self._line.appendleft(key)
            return
        entry.failures += 1
        if isinstance(error, _REFUSALS):
            self._rests.refused(key, entry.failures)
            self._tell_refusal(entry, error)
            return
        entry.refused_since = None
        if self._rests.put_off(key, entry.failures):
            self._log.warn("upload queue: {error}; trying again", error=error)

    def _tell_refusal(self, entry: Entry, error: Exception) -> None:
        if self._refusals_told.due:
            self._refusals_told.done()
            self._log.warn("upload queue: {what}: {why}", what=entry.record, why=error)
