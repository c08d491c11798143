"""Tests of gorego_tw.remote.http_body."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone
from twisted.web.iweb import IBodyProducer
from zope.interface.verify import verifyObject

from gorego_tw.body import BytesBody, HandedOver
from gorego_tw.errors import DataLoss, Unavailable
from gorego_tw.interfaces import IBlobBody
from gorego_tw.remote.breaker import Breaker, State
from gorego_tw.remote.http_body import (
    MOST_HELD_BYTES,
    BlobProducer,
    Response,
    UnwantedBody,
)


class Head:
    """A response whose body the test delivers.

    :ivar transport: where it comes from, which can be paused.
    """

    def __init__(self) -> None:
        self.transport = StringTransport()
        self.protocol: Any = None

    def deliverBody(self, protocol: Any) -> None:
        """Here it goes."""
        self.protocol = protocol
        protocol.makeConnection(self.transport)


class ResponseTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.response = Head()
        self.breaker = Breaker("the peer", clock=self.clock, failures=2)
        self.ended = 0
        head: Any = self.response
        self.pieces = Response(head, self.breaker, 5, self.clock, self.end_noted)

    def end_noted(self) -> None:
        """The connection is free."""
        self.ended += 1

    def next(self) -> Deferred[bytes]:
        """The next piece."""
        return Deferred.fromCoroutine(self.pieces.__anext__())

    def deliver(self, data: bytes) -> None:
        """Some of it comes."""
        self.response.protocol.dataReceived(data)

    def end(self, reason: Exception) -> None:
        """No more comes."""
        self.response.protocol.connectionLost(Failure(reason))

    def test_in_order(self) -> None:
        """Pieces come as they came, whether they were waited for or not, then the end."""
        waiting = self.next()
        self.assertNoResult(waiting)
        self.deliver(b"one")
        self.assertEqual(self.successResultOf(waiting), b"one")
        self.deliver(b"two")
        self.end(ResponseDone())
        self.assertEqual(self.successResultOf(self.next()), b"two")
        self.failureResultOf(self.next(), StopAsyncIteration)
        self.assertEqual(self.ended, 1)

    def test_goes_on(self) -> None:
        """Each piece tells the breaker that the peer answers, and so does the end; an empty piece is
        neither.
        """
        for come in (lambda: self.deliver(b"one"), lambda: self.end(ResponseDone())):
            self.breaker.failed(Unavailable("down"))
            waiting = self.next().addErrback(lambda _: b"")
            self.deliver(b"")
            self.assertNoResult(waiting)
            come()
            self.successResultOf(waiting)
            self.breaker.failed(Unavailable("down"))
            self.assertIs(self.breaker.state, State.CLOSED)
            self.breaker.succeeded()

    def test_head_alone(self) -> None:
        """The breaker is told of a piece that does not come, and the head before it is no success."""
        self.breaker.failed(Unavailable("down"))
        waiting = self.next()
        self.clock.advance(5)
        self.failureResultOf(waiting, Unavailable)
        self.assertIs(self.breaker.state, State.OPEN)

    def test_back_pressure(self) -> None:
        """Who takes nothing makes the peer wait; who has taken all lets it go on."""
        self.deliver(bytes(MOST_HELD_BYTES - 1))
        self.assertEqual(self.response.transport.producerState, "producing")
        self.deliver(b"x")
        self.assertEqual(self.response.transport.producerState, "paused")
        self.successResultOf(self.next())
        self.assertEqual(self.response.transport.producerState, "paused")
        self.successResultOf(self.next())
        self.assertEqual(self.response.transport.producerState, "producing")

    def test_breaks(self) -> None:
        """What breaks off is trouble, after what had come."""
        self.deliver(b"one")
        self.end(ValueError("reset by peer"))
        self.assertEqual(self.successResultOf(self.next()), b"one")
        error = self.failureResultOf(self.next(), Unavailable).value
        self.assertIn("reset by peer", error.message)

    def test_silence(self) -> None:
        """A peer that goes silent is given up."""
        waiting = self.next()
        self.clock.advance(5)
        error = self.failureResultOf(waiting, Unavailable).value
        self.assertEqual(error.message, "backing cache: deadline exceeded after 5 s")

    def test_leaving(self) -> None:
        """Who leaves while waiting leaves no timer behind, and closing stops the peer."""
        waiting = self.next()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.deliver(b"late")
        self.successResultOf(self.pieces.aclose())
        self.assertEqual(self.response.transport.producerState, "stopped")

    def test_close_at_the_end(self) -> None:
        """Closing what has ended does nothing."""
        self.end(ResponseDone())
        self.successResultOf(self.pieces.aclose())
        self.assertEqual(self.response.transport.producerState, "producing")


class UnwantedBodyTests(SynchronousTestCase):
    def test_page(self) -> None:
        """A page of words is taken to its end, and a flood is stopped."""
        response = Head()
        unwanted: Any = response
        clock = Clock()
        ended: list[bool] = []
        UnwantedBody(unwanted, 5, clock, lambda: ended.append(True))
        response.protocol.dataReceived(bytes(MOST_HELD_BYTES))
        self.assertEqual(response.transport.producerState, "producing")
        response.protocol.dataReceived(b"x")
        self.assertEqual(response.transport.producerState, "stopped")
        self.assertEqual(ended, [])
        response.protocol.connectionLost(Failure(ResponseDone()))
        self.assertEqual((clock.getDelayedCalls(), ended), ([], [True]))

    def test_page_that_does_not_end(self) -> None:
        """One that does not come to its end in time is stopped."""
        response = Head()
        unwanted: Any = response
        clock = Clock()
        ended: list[bool] = []
        UnwantedBody(unwanted, 5, clock, lambda: ended.append(True))
        clock.advance(5)
        self.assertEqual(response.transport.producerState, "stopped")


class Pieces(BytesBody):
    """A body of several pieces."""

    async def chunks(self, offset: int = 0, end: int | None = None) -> Any:
        """One byte each."""
        for byte in self.data:
            yield bytes([byte])


class Broken(BytesBody):
    """A body that is damaged."""

    async def chunks(self, offset: int = 0, end: int | None = None) -> Any:
        """Nothing but the news."""
        if self.data:
            raise DataLoss("local tier: damaged")
        yield b""


class BlobProducerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.consumer: Any = StringTransport()
        self.opened = 0
        self.producer = BlobProducer(3, self.open_body)

    async def open_body(self) -> IBlobBody:
        """What is sent."""
        self.opened += 1
        return Pieces(b"abc")

    def test_opened_late(self) -> None:
        """The blob is opened when it is to be written, and not before."""
        self.assertEqual(self.opened, 0)
        self.successResultOf(self.producer.startProducing(self.consumer))
        self.assertEqual(self.opened, 1)

    def test_interface(self) -> None:
        """It is the body of a request, and says how long it is."""
        verifyObject(IBodyProducer, self.producer)
        self.assertEqual(self.producer.length, 3)

    def test_all(self) -> None:
        """All of it is written, and each piece counts as progress."""
        progress = []
        self.producer.progressed = lambda: progress.append(True)
        self.successResultOf(self.producer.startProducing(self.consumer))
        self.assertEqual((self.consumer.value(), len(progress)), (b"abc", 3))

    def test_paused(self) -> None:
        """While it is paused at most one piece more is written."""
        self.producer.pauseProducing()
        self.producer.pauseProducing()
        producing = self.producer.startProducing(self.consumer)
        self.assertEqual(self.consumer.value(), b"a")
        self.producer.resumeProducing()
        self.producer.resumeProducing()
        self.successResultOf(producing)
        self.assertEqual(self.consumer.value(), b"abc")

    def test_stopped(self) -> None:
        """Stopped, it writes no more, and never says that it has written all."""
        self.producer.pauseProducing()
        producing = self.producer.startProducing(self.consumer)
        self.producer.stopProducing()
        self.assertNoResult(producing)
        self.assertEqual(self.consumer.value(), b"a")

    def test_cancelled(self) -> None:
        """Who does not want it written any more is told so, and nothing more is."""
        self.producer.pauseProducing()
        producing = self.producer.startProducing(self.consumer)
        producing.cancel()
        self.failureResultOf(producing, CancelledError)
        self.producer.resumeProducing()
        self.assertEqual(self.consumer.value(), b"a")

    def test_stopped_before(self) -> None:
        """It may be stopped before it was started."""
        self.producer.stopProducing()
        self.assertEqual(self.opened, 0)

    def test_damaged(self) -> None:
        """What is wrong with the blob is remembered."""
        producer = BlobProducer(3, HandedOver(Broken(b"abc")).open)
        self.failureResultOf(producer.startProducing(self.consumer), DataLoss)
        self.assertIsInstance(producer.failure, DataLoss)
