"""Fetches from the backing cache: one per blob, however many read it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from gorego_tw.digest import Digest
from gorego_tw.errors import REFUSALS, NotFound
from gorego_tw.forwarding import forwarded, rights
from gorego_tw.interfaces import IBlobBody
from gorego_tw.replication.flight import Fetch, Flight, State
from gorego_tw.replication.unkept import Places
from gorego_tw.replication.verified_body import VerifiedBody
from gorego_tw.storage.arrival import Arrivals
from gorego_tw.telemetry.body import awaited_body
from gorego_tw.telemetry.current import begin
from gorego_tw.telemetry.joining import begin_joined
from gorego_tw.telemetry.span import COALESCED, UPSTREAM

#: How long a fetch goes on that nobody reads any more, in seconds.
GRACE_SECONDS = 10.0

#: How many such fetches go on at a time: with up to 4 MiB in memory each (what is in the tail, not
#: written yet, and in one message) they take 128 MiB. The oldest is cancelled for one more.
MOST_DESERTED = 32


class Flights:
    """The flights under way. There are as many as calls that read, which the transport bounds,
    and MOST_DESERTED.

    :param fetch: asks the backing cache.
    :param arrivals: where the blobs are kept.
    :param absent: told of blobs that turned out not to be there, at once or midway.
    :param grace_seconds: how long a flight goes on that nobody reads any more.
    :ivar started: how many flights there were.
    :ivar joined: how many reads found one under way.
    :ivar outcomes: how many ended in which of the last states.
    :ivar unkept: the places for bodies that are passed on without being kept.
    """

    def __init__(
        self,
        fetch: Fetch,
        arrivals: Arrivals,
        *,
        absent: Callable[[Digest], object] = bool,
        clock: IReactorTime,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self.started = 0
        self.joined = 0
        self.outcomes: Counter[State] = Counter()
        self.unkept = Places()
        self._fetch = fetch
        self._arrivals = arrivals
        self._absent = absent
        self._clock = clock
        self._grace_seconds = grace_seconds
        self._flights: dict[Digest, Flight] = {}
        self._running: set[Flight] = set()
        self._deserted: dict[Flight, IDelayedCall] = {}
        self._idle: list[Deferred[None]] = []

    @property
    def in_flight(self) -> int:
        """How many are under way."""
        return len(self._running)

    async def get(self, digest: Digest) -> IBlobBody:
        """The blob from the backing cache, as soon as its first bytes are here.

        Where there is no room to keep it, it is read by each reader alone.

        :raises ResourceExhausted: so many do that, that there is no place for another one.
        :raises NotFound: it is absent there.
        :raises PermissionDenied: it refuses the caller's own rights, as with Unauthenticated.
        :raises Unavailable: the backing cache is in trouble.
        """
        while (flight := self._flights.get(digest)) is not None:
            self.joined += 1
            span = begin_joined(flight.span, "get")
            try:
                return await awaited_body(span, COALESCED, self._body(flight, flight.join()))
            except REFUSALS:
                if flight.rights == rights(forwarded()):
                    raise
        flight = self._prepare(digest)
        waiter = flight.join()
        span = begin("wait for the backing cache")
        flight.start()
        return await awaited_body(span, UPSTREAM, self._body(flight, waiter))

    async def _body(self, flight: Flight, waiter: Deferred[IBlobBody | None]) -> IBlobBody:
        body = await waiter
        if body is not None:
            return body
        place = self.unkept.take(flight.digest)
        self.started += 1
        self.outcomes[State.UNKEPT] += 1
        try:
            fetched = await self._fetch(flight.digest)
        except BaseException as error:
            place.release()
            if isinstance(error, NotFound):
                self._absent(flight.digest)
            raise
        return VerifiedBody(flight.digest, fetched, self.corrupt, place.release)

    async def close(self) -> None:
        """Cancel all, and wait until nothing of them is under way any more."""
        for flight in list(self._running):
            flight.cancel()
        if self._running:
            idle: Deferred[None] = Deferred()
            self._idle.append(idle)
            await idle

    def reader_joined(self, flight: Flight) -> None:
        """There is a reader more."""
        timer = self._deserted.pop(flight, None)
        if timer is not None:
            timer.cancel()

    def deserted(self, flight: Flight) -> None:
        """The last reader has left: the flight may complete within the grace period."""
        self._deserted[flight] = self._clock.callLater(self._grace_seconds, self._give_up, flight)
        if len(self._deserted) > MOST_DESERTED:
            oldest = next(iter(self._deserted))
            self._forget(oldest)
            # Not in this stack, which may be one of the flight's own.
            self._clock.callLater(0, oldest.cancel)

    def pass_on(self, digest: Digest, body: IBlobBody) -> IBlobBody:
        """What a reader gets of a body that is not kept.

        :raises ResourceExhausted: there are too many of them.
        """
        return VerifiedBody(digest, body, self.corrupt, self.unkept.take(digest).release)

    def corrupt(self) -> None:
        """A blob that is not kept was wrong."""
        self.outcomes[State.CORRUPT] += 1

    def ended(self, flight: Flight) -> None:
        """It is joined no more, and counted."""
        self._forget(flight)
        self.outcomes[flight.state] += 1
        if flight.state is State.ABSENT:
            self._absent(flight.digest)

    def done(self, flight: Flight) -> None:
        """Nothing of it is under way any more."""
        self._running.discard(flight)
        if not self._running:
            idle, self._idle = self._idle, []
            for waiter in idle:
                waiter.callback(None)

    def _prepare(self, digest: Digest) -> Flight:
        self.started += 1
        flight = Flight(digest, self._fetch, self._arrivals, self)
        self._flights[digest] = flight
        self._running.add(flight)
        return flight

    def _give_up(self, flight: Flight) -> None:
        self._forget(flight)
        flight.cancel()

    def _forget(self, flight: Flight) -> None:
        """Who asks from now on begins anew."""
        if self._flights.get(flight.digest) is flight:
            del self._flights[flight.digest]
        timer = self._deserted.pop(flight, None)
        if timer is not None and timer.active():
            timer.cancel()
