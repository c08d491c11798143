"""The messages of a streaming call."""

from __future__ import annotations

import asyncio
from typing import Any

from grpc import StatusCode
from grpc.aio import EOF, AioRpcError, Metadata
from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock

from gorego_tw.errors import NotFound, Unavailable
from gorego_tw.remote.replies import Replies
from tests.remote.peer import PeerTestCase


class ScriptedCall:
    """Gives what a test puts into it.

    :ivar asked: how often it was asked for a message.
    """

    def __init__(self, *messages: Any) -> None:
        self.asked = 0
        self.cancelled = False
        self._coming: asyncio.Queue[Any] = asyncio.Queue()
        for message in messages:
            self.put(message)

    def put(self, message: Any) -> None:
        """A message, or what the call fails with, has come."""
        self._coming.put_nowait(message)

    async def read(self) -> Any:
        """The next."""
        self.asked += 1
        message = await self._coming.get()
        if isinstance(message, BaseException):
            raise message
        return message

    def cancel(self) -> bool:
        """Remember that."""
        self.cancelled = True
        return True


class RepliesTests(PeerTestCase):
    def replies(self, call: ScriptedCall) -> Replies:
        """Those of a call, whose messages may take ten seconds."""
        self.clock = Clock()
        replies = Replies(call, 10.0, self.clock)
        self.addCleanup(replies.close)
        return replies

    async def test_in_order(self) -> None:
        """Each message comes once, in its order, and then the end."""
        replies = self.replies(ScriptedCall(b"one", b"two", EOF))
        got = [await replies.next() for _ in range(3)]
        self.assertEqual(got, [b"one", b"two", EOF])

    async def test_none_before_it_is_wanted(self) -> None:
        """A message is asked for when somebody wants it, and not before."""
        call = ScriptedCall(b"one", b"two", EOF)
        replies = self.replies(call)
        await self.turns(0.001)
        self.assertEqual(call.asked, 0)
        await replies.next()
        await self.turns(0.001)
        self.assertEqual(call.asked, 1)

    async def test_failure(self) -> None:
        """A call that fails does so for who waits, with a failure of ours."""
        failure = AioRpcError(StatusCode.NOT_FOUND, Metadata(), Metadata(), "none")
        replies = self.replies(ScriptedCall(b"one", failure))
        self.assertEqual(await replies.next(), b"one")
        error = await self.failed(replies.next(), NotFound)
        self.assertEqual(error.message, "backing cache: none")

    async def test_cancelled_by_others(self) -> None:
        """A call that its channel cancels is trouble, and no sign that our caller has left."""
        replies = self.replies(ScriptedCall(asyncio.CancelledError()))
        error = await self.failed(replies.next(), Unavailable)
        self.assertEqual(error.message, "backing cache: the call was broken off")

    async def test_late(self) -> None:
        """A message that is waited for too long is a failure."""
        replies = self.replies(ScriptedCall())
        waiting = replies.next()
        self.clock.advance(9.9)
        self.assertNoResult(waiting)
        self.clock.advance(0.2)
        error = await self.failed(waiting, Unavailable)
        self.assertEqual(error.message, "backing cache: deadline exceeded after 10 s")

    async def test_time_is_that_of_one_message(self) -> None:
        """Neither what earlier messages took counts, nor the time in which none was wanted."""
        call = ScriptedCall(b"one")
        replies = self.replies(call)
        self.clock.advance(9)
        self.assertEqual(await replies.next(), b"one")
        self.clock.advance(25)
        waiting = replies.next()
        self.clock.advance(9.9)
        self.assertNoResult(waiting)
        call.put(b"two")
        self.assertEqual(await waiting, b"two")

    async def test_cancel(self) -> None:
        """Who does not wait any more is told so at once."""
        replies = self.replies(ScriptedCall())
        waiting = replies.next()
        waiting.cancel()
        await self.failed(waiting, CancelledError)

    async def test_close(self) -> None:
        """Closing breaks the call off, and leaves no timer behind."""
        call = ScriptedCall()
        replies = self.replies(call)
        replies.next()
        await self.turns(0.001)
        replies.close()
        self.assertEqual((call.cancelled, self.clock.getDelayedCalls()), (True, []))

    async def test_close_from_within(self) -> None:
        """Who was given a message may close at once."""
        call = ScriptedCall(b"one", b"two")
        replies = self.replies(call)
        closing = replies.next().addCallback(lambda _: replies.close())
        await closing
        await self.turns(0.001)
        self.assertEqual((call.cancelled, call.asked), (True, 1))
