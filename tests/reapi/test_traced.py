"""Tests of gorego_tw.reapi.traced."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextvars import copy_context
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from gorego_tw.errors import InvalidArgument, NotFound, Unavailable
from gorego_tw.grpc.router import Call, IRPCService, Method, bidirectional, client_streaming, unary
from gorego_tw.grpc.router import server_streaming as streaming
from gorego_tw.pb.google.bytestream.bytestream_pb2 import ReadRequest, WriteRequest
from gorego_tw.reapi.traced import Traced
from gorego_tw.telemetry.current import current
from gorego_tw.telemetry.span import NETWORK, LocalRoot
from tests.reapi.fakes import FakeCall
from tests.telemetry.counted import Counted
from tests.telemetry.recording import Recording


class LateCall(FakeCall):
    """A call whose deadline has passed."""

    def time_remaining(self) -> float | None:
        """None is left."""
        return 0.0


@implementer(IRPCService)
class Service:
    """Waits for what the test says before it answers.

    :ivar failure: what it fails with, if anything.
    :ivar seen: what was current in it.
    """

    def __init__(self) -> None:
        self.gate: Deferred[None] | None = None
        self.failure: BaseException | None = None
        self.seen: list[object] = []

    def methods(self) -> Mapping[str, Method]:
        """One of each kind."""
        return {
            "/s.S/FindMissingBlobs": unary(ReadRequest, self.answer),
            "/s.S/Read": streaming(ReadRequest, self.stream),
            "/s.S/Write": client_streaming(WriteRequest, self.take),
            "/s.S/Chat": bidirectional(WriteRequest, self.chat),
        }

    async def answer(self, request: ReadRequest, call: Call) -> bytes:
        """Once."""
        await self._work()
        return b"reply"

    async def stream(self, request: ReadRequest, call: Call) -> AsyncIterator[bytes]:
        """Twice."""
        await self._work()
        yield b"1"
        yield b"2"

    async def take(self, requests: AsyncIterator[WriteRequest], call: Call) -> bytes:
        """After all requests."""
        data = b"".join([request.data async for request in requests])
        await self._work()
        return data

    async def chat(self, requests: AsyncIterator[WriteRequest], call: Call) -> AsyncIterator[bytes]:
        """Each request's data."""
        async for request in requests:
            await self._work()
            yield request.data

    async def _work(self) -> None:
        self.seen.append(current.get())
        if self.gate is not None:
            await self.gate
        if self.failure is not None:
            raise self.failure


class TracedTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.recording = Recording()
        self.clock = self.recording.clock
        self.service = Service()
        self.counted = Counted()
        self.traced = Traced(self.service, self.recording, self.counted)

    def method(self, name: str) -> Any:
        """What handles calls of a method, in a context of the call's own."""
        handle = self.traced.methods()[f"/s.S/{name}"].handle
        context = copy_context()

        def call(request: object, call: Call) -> Any:
            return context.run(handle, request, call)

        return call

    def answer(self, call: Call | None = None, **fields: Any) -> Deferred[bytes]:
        """A unary call."""
        handle = self.method("FindMissingBlobs")
        return Deferred.fromCoroutine(handle(ReadRequest(**fields), call or FakeCall()))

    def write(self, requests: AsyncIterator[WriteRequest]) -> Deferred[bytes]:
        """A call that sends."""
        return Deferred.fromCoroutine(self.method("Write")(requests, FakeCall()))

    def read(self, call: Call | None = None) -> AsyncGenerator[bytes, None]:
        """A call that is sent to."""
        replies = self.method("Read")(ReadRequest(), call or FakeCall())
        return cast(AsyncGenerator[bytes, None], replies)

    @property
    def root(self) -> LocalRoot:
        """The one call that was recorded."""
        (root,) = self.recording.exported.roots
        return root

    @property
    def outcome(self) -> tuple[str, str]:
        """Its code, and why it failed."""
        return self.root.details.code, self.root.details.error


class ServiceTests(TracedTestCase):
    def test_interface(self) -> None:
        """It is a service with the methods of the other one, of the same kinds."""
        verifyObject(IRPCService, self.traced)
        kinds = [
            {path: method[:3] for path, method in service.methods().items()}
            for service in (self.service, self.traced)
        ]
        self.assertEqual(*kinds)

    def test_tally(self) -> None:
        """Calls are counted under their method; those of methods that no metric has, nowhere."""
        self.answer()
        self.assertIs(self.root.tallies, self.counted.methods["FindMissingBlobs"])
        self.recording.exported.roots.clear()
        self.successResultOf(self.chat())
        self.assertEqual(self.root.tallies.tiers, {})

    async def chat(self) -> list[bytes]:
        """One message there and one back."""

        async def requests() -> AsyncIterator[WriteRequest]:
            yield WriteRequest(data=b"hello")

        return [reply async for reply in self.method("Chat")(requests(), FakeCall())]

    def test_both_directions(self) -> None:
        """A method that streams both ways is recorded as others are."""
        self.assertEqual(self.successResultOf(self.chat()), [b"hello"])
        self.assertEqual(self.outcome, ("OK", ""))


class RefusedTests(TracedTestCase):
    def test_recorded(self) -> None:
        """A call that fails before the service is asked is a span with its status, is counted, and is kept
        if it is a failure of ours.
        """
        refused = self.traced.methods()["/s.S/Read"].refused
        assert refused is not None
        refused(FakeCall(), InvalidArgument("rubbish"))
        refused(FakeCall(), Unavailable("full"))
        codes = [root.details.code for root in self.recording.exported.roots]
        self.assertEqual(codes, ["INVALID_ARGUMENT", "UNAVAILABLE"])
        self.assertEqual(self.counted.of("Read").calls.count, 2)
        self.assertEqual(self.service.seen, [])


class UnaryTests(TracedTestCase):
    def test_reply(self) -> None:
        """The reply is that of the service; the span is from the call's beginning to its end."""
        self.service.gate = Deferred()
        reply = self.answer()
        self.clock.advance(3)
        self.service.gate.callback(None)
        self.assertEqual(self.successResultOf(reply), b"reply")
        self.assertEqual((self.root.name, self.root.seconds), ("s.S/FindMissingBlobs", 3))
        self.assertEqual(self.outcome, ("OK", ""))
        self.assertEqual(self.root.details.kind, "server")

    def test_current(self) -> None:
        """It is the current span in the service, and in nothing else."""
        self.answer()
        self.assertEqual(self.service.seen, [self.root])
        self.assertIsNone(current.get())

    def test_subject(self) -> None:
        """What the call asks for is known to who describes it."""
        self.answer(resource_name="name")
        assert self.root.details.attributes is not None
        self.assertIn('resource_name: "name"', str(self.root.details.attributes["subject"]))

    def test_failure(self) -> None:
        """A failure has the code and the words that the client is told."""
        self.service.failure = Unavailable("down")
        self.failureResultOf(self.answer(), Unavailable)
        self.assertEqual(self.outcome, ("UNAVAILABLE", "down"))

    def test_refused(self) -> None:
        """So has what is refused."""
        self.service.failure = InvalidArgument("malformed")
        self.failureResultOf(self.answer(), InvalidArgument)
        self.assertEqual(self.outcome, ("INVALID_ARGUMENT", "malformed"))

    def test_absence(self) -> None:
        """What is absent is no failure."""
        self.service.failure = NotFound("no such blob")
        self.failureResultOf(self.answer(), NotFound)
        self.assertEqual(self.outcome, ("NOT_FOUND", ""))

    def test_bug(self) -> None:
        """Our own fault is INTERNAL, by the name of what happened."""
        self.service.failure = ValueError()
        self.failureResultOf(self.answer(), ValueError)
        self.assertEqual(self.outcome, ("INTERNAL", "ValueError"))

    def test_client_leaves(self) -> None:
        """Who leaves is no failure of ours."""
        self.service.gate = Deferred()
        reply = self.answer()
        reply.cancel()
        self.failureResultOf(reply, CancelledError)
        self.assertEqual(self.outcome, ("CANCELLED", ""))

    def test_deadline(self) -> None:
        """Whose deadline has passed is one."""
        self.service.gate = Deferred()
        reply = self.answer(LateCall())
        reply.cancel()
        self.failureResultOf(reply, CancelledError)
        self.assertEqual(
            self.outcome, ("DEADLINE_EXCEEDED", "the deadline of the client has passed")
        )


class RepliesTests(TracedTestCase):
    def next(self, replies: AsyncGenerator[bytes, None]) -> bytes:
        """The next reply."""
        return self.successResultOf(Deferred.fromCoroutine(replies.asend(None)))

    def test_network(self) -> None:
        """What each reply takes until the client has it is the network's."""
        replies = self.read()
        for expected in (b"1", b"2"):
            self.assertEqual(self.next(replies), expected)
            self.clock.advance(2)
        self.failureResultOf(Deferred.fromCoroutine(replies.asend(None)), StopAsyncIteration)
        self.assertEqual(self.root.details.spent, {NETWORK: 4})
        self.assertEqual(self.outcome, ("OK", ""))

    def test_slow_client(self) -> None:
        """So is what it took until the deadline of a client that does not take it had passed."""
        replies = self.read(LateCall())
        self.next(replies)
        self.clock.advance(60)
        self.successResultOf(Deferred.fromCoroutine(replies.aclose()))
        self.assertEqual(self.root.details.spent, {NETWORK: 60})
        self.assertEqual(self.outcome[0], "DEADLINE_EXCEEDED")

    def test_client_leaves(self) -> None:
        """Who has seen enough is no failure."""
        replies = self.read()
        self.next(replies)
        self.successResultOf(Deferred.fromCoroutine(replies.aclose()))
        self.assertEqual(self.outcome, ("CANCELLED", ""))

    def test_failure(self) -> None:
        """A stream that fails has its code, and is recorded once."""
        self.service.failure = Unavailable("down")
        asked = Deferred.fromCoroutine(self.read().asend(None))
        self.failureResultOf(asked, Unavailable)
        self.assertEqual(self.outcome, ("UNAVAILABLE", "down"))


class RequestsTests(TracedTestCase):
    def test_network(self) -> None:
        """What each message of the client takes to come is the network's; the first says what it is for."""
        gates: list[Deferred[None]] = [Deferred(), Deferred()]

        async def requests() -> AsyncIterator[WriteRequest]:
            await gates[0]
            yield WriteRequest(resource_name="name", data=b"a")
            await gates[1]
            yield WriteRequest(data=b"b")

        reply = self.write(requests())
        for gate in gates:
            self.clock.advance(2)
            gate.callback(None)
        self.assertEqual(self.successResultOf(reply), b"ab")
        self.assertEqual(self.root.details.spent, {NETWORK: 4})
        self.assertEqual(self.root.details.attributes, {"subject": "name"})

    def test_slow_client(self) -> None:
        """So is what was waited for a message that did not come."""

        async def requests() -> AsyncIterator[WriteRequest]:
            await Deferred()
            yield WriteRequest()

        reply = self.write(requests())
        self.clock.advance(9)
        reply.cancel()
        self.failureResultOf(reply, CancelledError)
        self.assertEqual(self.root.details.spent, {NETWORK: 9})

    def test_no_message(self) -> None:
        """A client that sends nothing asks for nothing."""

        async def requests() -> AsyncIterator[WriteRequest]:
            return
            yield

        self.successResultOf(self.write(requests()))
        self.assertEqual(self.root.details.attributes, {"subject": "None"})


class UnsampledTests(TracedTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.recording = Recording(0.0)
        self.traced = Traced(self.service, self.recording, self.counted)

    def kept(self) -> list[str]:
        """What is kept, as ``method bucket code``."""
        return [
            f"{name} {bucket} {kept.root.details.code}"
            for name, ring in self.recording.kept.rings().items()
            for bucket, requests in ring.items()
            for kept in requests
        ]

    def test_quick(self) -> None:
        """Of a call that is not sampled, quick and well, nothing is left."""
        self.successResultOf(self.answer())
        self.assertEqual((self.kept(), self.recording.exported.roots), ([], []))

    def test_slow(self) -> None:
        """One that was slow is kept."""
        self.service.gate = Deferred()
        self.answer()
        self.recording.clock.advance(2)
        self.service.gate.callback(None)
        self.assertEqual(self.kept(), ["s.S/FindMissingBlobs >= 1 s OK"])
        self.assertEqual(self.recording.exported.roots, [])

    def test_failed(self) -> None:
        """So is one that failed; not so what was absent."""
        self.service.failure = Unavailable("down")
        self.failureResultOf(self.answer(), Unavailable)
        self.service.failure = NotFound("no")
        self.failureResultOf(self.answer(), NotFound)
        self.assertEqual(self.kept(), ["s.S/FindMissingBlobs failed UNAVAILABLE"])
