"""One fetch of one blob from the backing cache, for all who read it meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from typing import Protocol, TypeAlias

from twisted.internet.defer import CancelledError, Deferred, succeed
from txaio.tx import make_logger

from gorego_tw.concurrency import closing
from gorego_tw.digest import Digest
from gorego_tw.errors import DataLoss, DigestMismatch, NotFound, StatusError, Unavailable
from gorego_tw.forwarding import forwarded, rights
from gorego_tw.interfaces import IBlobBody, ILandingBody
from gorego_tw.replication.verified_body import wrong_data
from gorego_tw.storage.arrival import Arrival, Arrivals
from gorego_tw.telemetry.context import detached
from gorego_tw.telemetry.current import enter
from gorego_tw.telemetry.span import Span

#: Asks the backing cache for a blob.
Fetch: TypeAlias = Callable[[Digest], Awaitable[IBlobBody]]


#: So much of the first piece is given out first, in bytes. All who wait are called in one turn of the
#: reactor, and each sends what there is: 200 of them send 64 KiB in 20 ms, but 1 MiB in 160 ms.
FIRST_BYTES = 64 * 1024


class State(Enum):
    """How far a flight is."""

    ASKED = "asked"  #: no byte is here
    ARRIVING = "arriving"  #: who comes now reads what is here at once
    COMPLETED = "completed"  #: verified and kept
    UNKEPT = "unkept"  #: there was no room: one reader reads from the backing cache itself, or all have read
    ABSENT = "absent"  #: the backing cache has no such blob
    CORRUPT = "corrupt"  #: what came is not the blob
    FAILED = "failed"  #: any other trouble, there or here
    CANCELLED = "cancelled"  #: nobody wanted it any more


#: What may follow what. Where nothing follows, the flight is over.
TABLE: Mapping[State, frozenset[State]] = {
    State.ASKED: frozenset(
        {
            State.ARRIVING,
            State.UNKEPT,
            State.ABSENT,
            State.CORRUPT,
            State.FAILED,
            State.CANCELLED,
        }
    ),
    # ABSENT here too: a fetch that is resumed may find the blob evicted.
    # UNKEPT: the index, which is asked last, has no room.
    State.ARRIVING: frozenset(
        {
            State.COMPLETED,
            State.UNKEPT,
            State.ABSENT,
            State.CORRUPT,
            State.FAILED,
            State.CANCELLED,
        }
    ),
    State.COMPLETED: frozenset(),
    State.UNKEPT: frozenset(),
    State.ABSENT: frozenset(),
    State.CORRUPT: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
}

#: How a flight ends that is ended by an exception of that class; others are failures.
ENDINGS: tuple[tuple[type[Exception], State], ...] = (
    (CancelledError, State.CANCELLED),
    (DigestMismatch, State.CORRUPT),
    (DataLoss, State.CORRUPT),
    (NotFound, State.ABSENT),
)


class Watcher(Protocol):
    """Who is told what becomes of a flight."""

    def deserted(self, flight: Flight) -> None:
        """The last reader has left, and the flight goes on."""

    def reader_joined(self, flight: Flight) -> None:
        """There is a reader more."""

    def ended(self, flight: Flight) -> None:
        """Its state is a last one; its readers are not told yet."""

    def pass_on(self, digest: Digest, body: IBlobBody) -> IBlobBody:
        """What a reader gets of a body that is not kept.

        :raises ResourceExhausted: there are too many of them.
        """

    def done(self, flight: Flight) -> None:
        """Nothing of it is under way any more."""


class Flight:
    """Runs in a coroutine and a context of its own: no reader owns it.

    :param fetch: asks the backing cache.
    :param arrivals: where the blob is kept.
    :ivar rights: with which the backing cache is asked.
    :ivar span: of all of it, as far as anything is recorded.
    :ivar readers: how many wait for its first byte, or have a body.
    """

    _log = make_logger()

    def __init__(self, digest: Digest, fetch: Fetch, arrivals: Arrivals, watcher: Watcher) -> None:
        self.digest = digest
        self.state = State.ASKED
        self.readers = 0
        self.rights = rights(forwarded())
        self.span: Span | None = None
        self._fetch = fetch
        self._arrivals = arrivals
        self._watcher = watcher
        self._waiting: list[Deferred[IBlobBody | None]] = []
        self._arrival: Arrival | None = None
        self._failure = ""
        self._work: Deferred[None] = Deferred()

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return not TABLE[self.state]

    def start(self) -> None:
        """Ask the backing cache. What joined before is told the end even if it comes at once."""
        context = detached()
        self.span = context.run(enter, "fetch")
        self._work = context.run(Deferred.fromCoroutine, self._run())

    def cancel(self) -> None:
        """End it, unless it has ended. Readers that it has are told so."""
        if not self.over:
            self._work.cancel()

    def join(self) -> Deferred[IBlobBody | None]:
        """The blob, as soon as the first bytes are here. Cancelling leaves the flight.

        :returns: fires with None if there is no room for the blob, and another reader got the
            only body; fails as the fetch did.
        """
        self.readers += 1
        self._watcher.reader_joined(self)
        if self._arrival is not None and self.state is State.ARRIVING:
            return succeed(self._arrival.body(self._leave))
        waiter: Deferred[IBlobBody | None] = Deferred(self._stop_waiting)
        self._waiting.append(waiter)
        return waiter

    async def _run(self) -> None:
        try:
            body = await self._fetch(self.digest)
            try:
                arrival = self._arrivals.open(self.digest)
            except StatusError:  # no room, or the disk is in trouble: no reason not to read
                self._pass_on(body)
            else:
                await self._receive(body, arrival)
        except Exception as error:  # whatever it is, it is the readers' answer
            self._fail(error)
        finally:
            if self.span is not None:
                self._end_span(self.span)
            self._watcher.done(self)

    def _end_span(self, span: Span) -> None:
        span.set("gorego.outcome", self.state.value)
        if self.state in {State.CORRUPT, State.FAILED}:
            span.own.error = self._failure
        span.end()

    async def _receive(self, body: IBlobBody, arrival: Arrival) -> None:
        self._arrival = arrival
        if ILandingBody.providedBy(body):
            body.land_in(arrival.room)
        try:
            async with closing(body.chunks()) as pieces:
                async for piece in pieces:
                    await self._take(arrival, memoryview(piece))
            self._begin_reading(arrival)
            kept = await arrival.finish()
        except Exception as error:  # whatever it is, nothing of the blob may be left
            await arrival.abandon(self._fail(error))
        else:
            self._move(State.COMPLETED if kept else State.UNKEPT)
            arrival.complete()

    async def _take(self, arrival: Arrival, piece: memoryview) -> None:
        if self.state is State.ASKED:
            await arrival.append(piece[:FIRST_BYTES])
            self._begin_reading(arrival)
            piece = piece[FIRST_BYTES:]
        if piece:
            await arrival.append(piece)

    def _begin_reading(self, arrival: Arrival) -> None:
        if self.state is State.ASKED:
            self._move(State.ARRIVING)
            for waiter in self._take_waiting():
                if not waiter.called:  # one of those that were told may have made others leave
                    waiter.callback(arrival.body(self._leave))

    def _pass_on(self, body: IBlobBody) -> None:
        passed: IBlobBody | None = None
        try:
            if self._waiting:
                passed = self._watcher.pass_on(self.digest, body)
        finally:
            if passed is None:
                body.discard()
        self._move(State.UNKEPT)
        for waiter in self._take_waiting():
            if not waiter.called:
                passed, given = None, passed
                waiter.callback(given)
        if passed is not None:
            passed.discard()

    def _fail(self, error: Exception) -> Exception:
        """End it.

        :returns: what its readers are told.
        """
        state = next((state for kind, state in ENDINGS if isinstance(error, kind)), State.FAILED)
        if isinstance(error, DigestMismatch):
            self._log.warn("wrong data from the backing cache: {error}", error=error.message)
            error = wrong_data(error)
        elif isinstance(error, CancelledError):
            error = Unavailable(f"backing cache: blob {self.digest}: the fetch was cancelled")
        elif not isinstance(error, StatusError) and not self.readers:
            self._log.failure("fetch of blob {digest} failed", digest=str(self.digest))
        self._failure = str(error)
        self._move(state)
        for waiter in self._take_waiting():
            if not waiter.called:
                waiter.errback(error)
        return error

    def _move(self, state: State) -> None:
        assert state in TABLE[self.state]
        self.state = state
        if self.over:
            self._watcher.ended(self)

    def _take_waiting(self) -> list[Deferred[IBlobBody | None]]:
        waiting, self._waiting = self._waiting, []
        return waiting

    def _stop_waiting(self, waiter: Deferred[IBlobBody | None]) -> None:
        if waiter in self._waiting:
            self._waiting.remove(waiter)
        self._leave()

    def _leave(self) -> None:
        self.readers -= 1
        if not self.readers and not self.over:
            self._watcher.deserted(self)
