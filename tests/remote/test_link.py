"""Tests of gorego_tw.remote.link, with a server on a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import TypeVar

from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from twisted.internet.defer import CancelledError, Deferred, gatherResults

from gorego_tw.errors import Aborted, NotFound, ResourceExhausted, Unavailable
from gorego_tw.forwarding import VIA
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.pb.google.bytestream.bytestream_pb2 import ReadRequest, WriteRequest
from gorego_tw.remote.breaker import FAILURES, CircuitOpen, State
from gorego_tw.remote.bulk.room import Room
from gorego_tw.remote.connections import STREAM_WINDOW_BYTES
from gorego_tw.remote.link import GET_ACTION_RESULT, MOST_WRITES, UPDATE_ACTION_RESULT
from tests.remote.peer import PeerTestCase

T = TypeVar("T")

REQUEST = pb.GetActionResultRequest(instance_name="main")


async def messages(count: int, size_bytes: int = 1000) -> AsyncIterator[WriteRequest]:
    """The messages of a write."""
    for number in range(count):
        yield WriteRequest(data=bytes(size_bytes), finish_write=number == count - 1)


class UnaryTests(PeerTestCase):
    async def test_reply(self) -> None:
        """A call has its reply."""
        reply = await self.link().unary(GET_ACTION_RESULT, REQUEST)
        self.assertTrue(reply.stdout_raw.startswith(b"main"))

    async def test_metadata(self) -> None:
        """Every call carries the static headers, unless it brings its own."""
        link = self.link(headers=(("static", "always"), ("own", "static")))
        await link.unary(GET_ACTION_RESULT, REQUEST)
        await link.unary(GET_ACTION_RESULT, REQUEST, metadata=(("own", "mine"),))
        seen = [call[1:] for call in self.service.calls]
        self.assertEqual(seen, [("always", "static"), ("always", "mine")])

    async def test_way(self) -> None:
        """Every call says through which daemons it has come, the last of them this one."""
        link = self.link()
        await link.unary(GET_ACTION_RESULT, REQUEST)
        await link.unary(GET_ACTION_RESULT, REQUEST, metadata=((VIA, "first#0"),))
        self.assertEqual(self.service.ways, ["front#1", "first#0, front#1"])

    async def test_failure(self) -> None:
        """A failure is ours, with its details, and says where it was."""
        detail = RetryInfo(retry_delay=Duration(seconds=7))
        self.service.failures = [ResourceExhausted("full", detail)]
        link = self.link(retries=0)
        error = await self.failed(link.unary(GET_ACTION_RESULT, REQUEST), ResourceExhausted)
        self.assertEqual((error.message, error.details), ("backing cache: full", (detail,)))

    async def test_retried(self) -> None:
        """What may go well is tried again, an answer is not."""
        self.service.failures = [Unavailable("busy"), Unavailable("busy")]
        await self.link().unary(GET_ACTION_RESULT, REQUEST)
        self.assertEqual(len(self.service.calls), 3)
        self.service.failures = [NotFound("none")]
        await self.failed(self.link().unary(GET_ACTION_RESULT, REQUEST), NotFound)
        self.assertEqual(len(self.service.calls), 4)

    async def test_deadline(self) -> None:
        """A peer that does not answer in time is in trouble, and the message says after how long."""
        self.service.held = True
        link = self.link(seconds=0.1)
        error = await self.failed(link.unary(GET_ACTION_RESULT, REQUEST), Unavailable)
        self.assertEqual(error.message, "backing cache: deadline exceeded after 0.1 s")
        self.assertEqual(len(self.service.calls), 1)

    async def test_hangs(self) -> None:
        """The peer is left alone after a few calls that it did not answer; who waits for a place then
        does not wait for an answer, too.
        """
        self.service.held = True
        link = self.link(seconds=0.1, most_in_flight=FAILURES)
        calls = [Deferred.fromCoroutine(link.unary(GET_ACTION_RESULT, REQUEST)) for _ in range(20)]
        for call in calls[:FAILURES]:
            await self.failed(call, Unavailable)
        self.assertIs(self.breaker.state, State.OPEN)
        left = 0
        for call in calls[FAILURES:]:
            error = await self.failed(call, Unavailable)
            left += isinstance(error, CircuitOpen)
        # The places of the first come free one by one, and the breaker opens with the last of them.
        self.assertGreaterEqual(left, 20 - 2 * FAILURES)
        self.assertLess(len(self.service.calls), 2 * FAILURES)

    async def test_waiting_when_it_opens(self) -> None:
        """Who waits for a place hears at once that the peer is left alone, whoever has the place."""
        self.service.held = True
        link = self.link(most_in_flight=1)
        first, *waiting = [
            Deferred.fromCoroutine(call)
            for call in (
                link.unary(GET_ACTION_RESULT, REQUEST),
                link.unary(GET_ACTION_RESULT, REQUEST),
                link.write(messages(1)),
            )
        ]
        await self.turns()
        for _ in range(FAILURES):
            self.breaker.failed(Unavailable("backing cache: down"))
        for call in waiting:
            self.failureResultOf(call, CircuitOpen)
        self.assertNoResult(first)
        self.service.release()
        await first
        self.assertEqual(self.connections.in_flight, 0)

    async def test_nobody_found(self) -> None:
        """NOT_FOUND is absence only where one thing is asked for: else it is of who should answer."""
        link = self.link(retries=0)
        self.service.failures = [NotFound("no such instance") for _ in range(3)]
        await self.failed(link.unary(GET_ACTION_RESULT, REQUEST), NotFound)
        update = pb.UpdateActionResultRequest()
        error = await self.failed(link.unary(UPDATE_ACTION_RESULT, update), Unavailable)
        self.assertEqual(error.message, "backing cache: no such instance")
        await self.failed(link.write(messages(1)), Unavailable)
        self.assertIs(self.breaker.state, State.CLOSED)

    async def test_cancel(self) -> None:
        """Who leaves takes the call along."""
        self.service.held = True
        calling = Deferred.fromCoroutine(self.link().unary(GET_ACTION_RESULT, REQUEST))
        await self.turns()
        calling.cancel()
        await self.failed(calling, CancelledError)
        await self.turns()
        self.assertEqual((self.service.cancelled, self.connections.in_flight), (1, 0))

    async def test_nobody_there(self) -> None:
        """A peer that is not there is in trouble; after a few calls it is left alone."""
        await self.port.stopListening()
        link = self.link(retries=0)
        for _ in range(FAILURES):
            await self.failed(link.unary(GET_ACTION_RESULT, REQUEST), Unavailable)
        self.assertIs(self.breaker.state, State.OPEN)
        await self.failed(link.unary(GET_ACTION_RESULT, REQUEST), CircuitOpen)

    async def test_many(self) -> None:
        """More calls than a connection bears at once wait for a place, and all are answered."""
        link = self.link()
        calls = [
            Deferred.fromCoroutine(link.unary(GET_ACTION_RESULT, REQUEST)) for _ in range(1500)
        ]
        self.assertGreater(self.connections.waiting, 900)
        await gatherResults(calls)
        self.assertEqual((self.connections.waiting, self.connections.in_flight), (0, 0))

    async def test_several_connections(self) -> None:
        """Calls are spread evenly over the connections."""
        self.service.held = True
        link = self.link(count=3)
        calls = [Deferred.fromCoroutine(link.unary(GET_ACTION_RESULT, REQUEST)) for _ in range(6)]
        await self.turns()
        self.assertEqual(self.factory.connections, 3)
        self.service.release()
        await gatherResults(calls)


class ReadTests(PeerTestCase):
    async def test_pieces(self) -> None:
        """The data of each message comes in order."""
        self.service.pieces = [b"one", b"", b"two"]
        link = self.link()
        pieces = [piece async for piece in link.read(ReadRequest(resource_name="x"))]
        self.assertEqual(pieces, [b"one", b"", b"two"])

    async def test_not_found(self) -> None:
        """What is absent is absent at the first step."""
        self.service.failures = [NotFound("none")]
        await self.failed(anext(self.link().read(ReadRequest())), NotFound)
        self.assertEqual(self.connections.in_flight, 0)

    async def test_breaks(self) -> None:
        """A stream that breaks gives what had come, then the failure, which the breaker counts."""
        self.service.pieces = [b"one"]
        self.service.failures = [Unavailable("gone")]
        pieces = self.link().read(ReadRequest())
        self.assertEqual(await anext(pieces), b"one")
        await self.failed(anext(pieces), Unavailable)

    async def test_back_pressure(self) -> None:
        """Who does not ask for more is sent no more than the windows hold."""
        self.service.pieces = [bytes(1 << 20)] * 100
        async with aclosing(self.link().read(ReadRequest())) as pieces:
            await anext(pieces)
            await self.turns(0.3)
            self.assertLess(self.service.taken, 30)
        await self.turns()
        self.assertEqual(self.connections.in_flight, 0)
        self.assertLess(self.service.taken, 100)

    async def test_window(self) -> None:
        """Who was fast and becomes slow is sent little more than the window, however fast it was."""
        self.service.pieces = [bytes(1 << 20)] * 200
        async with aclosing(self.link().read(ReadRequest())) as pieces:
            for _ in range(100):
                await anext(pieces)
            await self.turns(0.5)
            # The rest is in the socket, in the server and in gRPC's hands: some 3 MiB.
            self.assertLess(self.service.taken - 100, 2 * STREAM_WINDOW_BYTES >> 20)

    async def test_hangs(self) -> None:
        """A stream without a sign of life is given up."""
        self.service.held = True
        error = await self.failed(anext(self.link(seconds=0.1).read(ReadRequest())), Unavailable)
        self.assertIn("deadline exceeded after 0.1 s", error.message)
        await self.turns()
        self.assertEqual(self.service.cancelled, 1)


class BulkReadTests(PeerTestCase):
    async def test_place(self) -> None:
        """A read that has memory for its pieces has a connection of its own, if there is one for it."""
        self.service.pieces = [b"one", b"two"]
        for most, in_flight in ((1, [1, 0]), (0, [0, 1])):
            link = self.link(most_bulk=most, headers=(("static", "always"),))
            async with aclosing(link.read(ReadRequest(), room=Room())) as pieces:
                found = bytes(await anext(pieces))
                there = [self.bulk.in_flight, self.connections.in_flight]
                self.assertEqual(there, in_flight)
                found += b"".join([bytes(piece) async for piece in pieces])
            self.assertEqual(found, b"onetwo")
            self.assertEqual(self.service.calls[-1][1], "always")
            self.assertEqual((self.bulk.in_flight, self.connections.in_flight), (0, 0))

    async def test_breaker(self) -> None:
        """Its failures count as all others do, those of its connection too."""
        link = self.link(retries=0)
        self.service.failures = [Unavailable("down")]
        await self.failed(anext(link.read(ReadRequest(), room=Room())), Unavailable)
        await self.port.stopListening()
        self.bulk.close()
        link = self.link(retries=0)
        for _ in range(FAILURES):
            await self.failed(anext(link.read(ReadRequest(), room=Room())), Unavailable)
        self.assertIs(self.breaker.state, State.OPEN)
        await self.failed(anext(link.read(ReadRequest(), room=Room())), CircuitOpen)


class WriteTests(PeerTestCase):
    async def test_whole(self) -> None:
        """All messages arrive, and the reply comes."""
        reply = await self.link().write(messages(20))
        self.assertEqual((reply.committed_size, self.service.taken), (20_000, 20))

    async def test_answered_early(self) -> None:
        """A peer that has enough answers before the end; the rest is not sent."""
        self.service.answer_after = 1
        link = self.link()
        reply = await self.answer(lambda: link.write(messages(1000, 100_000)))
        self.assertEqual(reply.committed_size, 100_000)

    async def test_failure(self) -> None:
        """A refusal ends the write."""
        link = self.link()
        self.service.failures = [ResourceExhausted("full")] * 50
        write = self.answer(lambda: link.write(messages(1000, 100_000)))
        await self.failed(write, ResourceExhausted)
        self.assertEqual(self.connections.in_flight, 0)

    async def answer(self, write: Callable[[], Awaitable[T]]) -> T:
        """What a write ends with; one whose answer got lost is done again."""
        for _ in range(20):
            try:
                return await write()
            except Aborted:
                continue
        raise AssertionError("no answer arrives")

    async def test_peer_does_not_take(self) -> None:
        """A peer that takes nothing makes the write wait, and in the end give up."""
        self.service.held = True
        sent = []

        async def counted() -> AsyncIterator[WriteRequest]:
            async for message in messages(100, 1 << 20):
                sent.append(message)
                yield message

        error = await self.failed(self.link(seconds=0.2).write(counted()), Unavailable)
        self.assertIn("deadline exceeded", error.message)
        self.assertLess(len(sent), 30)

    async def test_many_wait(self) -> None:
        """No more are written at a time than there are files for; the others are not even begun."""
        self.service.held = True
        link = self.link()
        begun: set[int] = set()

        async def noting(number: int) -> AsyncIterator[WriteRequest]:
            begun.add(number)
            async for message in messages(1):
                yield message

        count = MOST_WRITES + 20
        calls = [Deferred.fromCoroutine(link.write(noting(number))) for number in range(count)]
        await self.turns()
        self.assertEqual(len(begun), MOST_WRITES)
        self.service.release()
        self.assertEqual(len(await gatherResults(calls)), count)

    async def test_stalls_are_counted(self) -> None:
        """A peer that takes nothing again and again is left alone, though gRPC takes the first messages."""
        self.service.held = True
        link = self.link(seconds=0.1)
        for _ in range(FAILURES):
            await self.failed(link.write(messages(100, 1 << 20)), Unavailable)
        await self.failed(link.write(messages(1)), CircuitOpen)

    async def test_once_needs_no_place(self) -> None:
        """Who finds out whether the peer answers does not wait for those that it does not answer."""
        self.service.held = True
        link = self.link(most_in_flight=1)
        hangs = Deferred.fromCoroutine(link.unary(GET_ACTION_RESULT, REQUEST))
        await self.turns()
        self.service.held = False
        await link.once(GET_ACTION_RESULT, REQUEST)
        self.assertNoResult(hangs)
        hangs.cancel()
        await self.failed(hangs, CancelledError)
