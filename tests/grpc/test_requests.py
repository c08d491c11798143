"""Tests of gorego_tw.grpc.requests."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import Internal
from gorego_tw.grpc.requests import RequestStream, parse
from gorego_tw.pb.grpc.health.v1.health_pb2 import HealthCheckRequest

ONE = HealthCheckRequest(service="one").SerializeToString()
TWO = HealthCheckRequest(service="two").SerializeToString()


class RequestStreamTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.acknowledged: list[int] = []
        self.stream = RequestStream(HealthCheckRequest, self.acknowledged.append)

    def next(self) -> Deferred[HealthCheckRequest]:
        return Deferred.fromCoroutine(self._next())

    async def _next(self) -> HealthCheckRequest:
        request = await self.stream.__anext__()
        assert isinstance(request, HealthCheckRequest)
        return request

    def test_in_order(self) -> None:
        """Messages come out as they came in, then the end."""
        self.stream.received([ONE, TWO], 10, True)
        self.assertEqual(self.successResultOf(self.next()).service, "one")
        self.assertEqual(self.successResultOf(self.next()).service, "two")
        self.failureResultOf(self.next(), StopAsyncIteration)

    def test_waits_for_one(self) -> None:
        """A service that asks early gets the message when it comes."""
        asked = self.next()
        self.stream.received([], 3, False)
        self.assertNoResult(asked)
        self.stream.received([ONE], 7, False)
        self.assertEqual(self.successResultOf(asked).service, "one")

    def test_end_while_waiting(self) -> None:
        """The end reaches a service that waits."""
        asked = self.next()
        self.stream.received([], 0, True)
        self.failureResultOf(asked, StopAsyncIteration)

    def test_pieces_are_acknowledged_at_once(self) -> None:
        """Part of a message is acknowledged, since without more of it nobody can go on."""
        self.stream.received([], 1000, False)
        self.assertEqual(self.acknowledged, [1000])

    def test_back_pressure(self) -> None:
        """Messages the service has not taken are not acknowledged; with the last one all are."""
        self.stream.received([ONE, TWO], 100, False)
        self.stream.received([], 50, False)
        self.successResultOf(self.next())
        self.assertEqual(self.acknowledged, [])
        self.successResultOf(self.next())
        self.assertEqual(self.acknowledged, [150])

    def test_cancelled_wait(self) -> None:
        """After a cancelled wait the next one works."""
        asked = self.next()
        asked.cancel()
        self.failureResultOf(asked, CancelledError)
        self.stream.received([ONE], 1, False)
        self.assertEqual(self.successResultOf(self.next()).service, "one")

    def test_not_a_message(self) -> None:
        """Bytes that are no such message are INTERNAL, as statuscodes.md has it."""
        self.stream.received([b"\xff\xff"], 2, False)
        failure = self.failureResultOf(self.next(), Internal)
        self.assertIn("grpc.health.v1.HealthCheckRequest", failure.value.message)


class ParseTests(SynchronousTestCase):
    def test_message(self) -> None:
        """The message that was serialized comes back."""
        self.assertEqual(parse(HealthCheckRequest, ONE), HealthCheckRequest(service="one"))
