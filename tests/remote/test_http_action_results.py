"""Tests of gorego_tw.remote.http_action_results, with a server on a socket."""

from __future__ import annotations

from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError
from twisted.web.iweb import IAgent, IResponse
from zope.interface import implementer

from gorego_tw.digest import DigestFunction, digest_of
from gorego_tw.errors import (
    DataLoss,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    Unavailable,
    Unimplemented,
)
from gorego_tw.interfaces import ActionKey
from gorego_tw.remote.breaker import State
from gorego_tw.remote.http_action_results import MOST_BYTES, HTTPActionResults
from gorego_tw.remote.no_answer import NoAnswer
from tests.remote.http_server import HTTPTestCase

KEY = ActionKey("linux x", digest_of(b"action", DigestFunction.SHA256))
PATH = f"prod/linux%20x/ac/{KEY.action.hash}"


@implementer(IAgent)
class UnreachableAgent:
    """Its connections never come, and say so in their own way when nobody waits any more."""

    def request(self, *_: object) -> Deferred[IResponse]:
        """Connect."""
        address = IPv4Address("TCP", "127.0.0.1", 1)
        return Deferred(lambda it: it.errback(ConnectingCancelledError(address)))


class HTTPActionResultsTests(HTTPTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.results = HTTPActionResults(self.peer, "prod")

    async def test_put_and_get(self) -> None:
        """A result is where its names say, below our instance name."""
        await self.results.put(KEY, b"result")
        self.assertEqual(self.there.files, {PATH: b"result"})
        self.assertEqual(await self.results.get(KEY), b"result")

    async def test_no_instance_name(self) -> None:
        """Without instance names it is where Bazel looks."""
        await HTTPActionResults(self.peer, "").put(KEY._replace(instance_name=""), b"x")
        self.assertEqual(list(self.there.files), [f"ac/{KEY.action.hash}"])

    async def test_absent(self) -> None:
        """What is not there is absent."""
        await self.failed(self.results.get(KEY), NotFound)

    async def test_tried_again(self) -> None:
        """Trouble is tried again, and in the end told."""
        self.there.codes = [500, 500]
        await self.results.put(KEY, b"result")
        self.there.codes = [500] * 3
        await self.failed(self.results.get(KEY), Unavailable)

    async def test_refused(self) -> None:
        """What the server will not have is no trouble of its own: it is asked once, and for others as before."""
        for code in (400, 411, 413, 415):
            self.there.codes = [code]
            await self.failed(self.results.put(KEY, b"result"), FailedPrecondition)
        self.assertEqual(len(self.there.asked), 4)
        self.assertIs(self.breaker.state, State.CLOSED)

    async def test_not_found_or_in_the_way(self) -> None:
        """What says nothing of what was sent may be over at the next try, and is no absence; the server answers."""
        for code in (302, 404, 409, 410, 423):
            self.there.codes = [code]
            await self.results.put(KEY, b"result")
            self.there.codes = [code] * 3
            await self.failed(self.results.put(KEY, b"result"), Unavailable)
        self.assertIs(self.breaker.state, State.CLOSED)

    async def test_closed(self) -> None:
        """After the end nothing is asked any more."""
        self.peer.close()
        await self.failed(self.results.get(KEY), Unavailable)
        self.assertEqual(self.there.asked, [])

    async def test_takes_no_writes(self) -> None:
        """A server that takes no PUT is told from one in trouble, and asked once."""
        for code in (405, 501):
            self.there.codes = [code]
            await self.failed(self.results.put(KEY, b"result"), Unimplemented)
        self.assertEqual(len(self.there.asked), 2)
        self.assertIs(self.breaker.state, State.CLOSED)

    async def test_pages_that_do_not_end(self) -> None:
        """A response that does not go on costs no connection for long, whatever it began as."""
        self.peer = self.make_peer(retries=0, seconds=0.05)
        results = HTTPActionResults(self.peer, "prod")
        for code, kind in ((404, NotFound), (500, Unavailable), (200, Unavailable)):
            self.there.stalls = [code]
            await self.failed(results.get(KEY), kind)
        self.there.stalls = [201]
        await self.failed(results.put(KEY, b"result"), Unavailable)
        await self.turns(0.2)
        self.assertEqual(self.connections(), 0)

    async def test_names_that_lead_elsewhere(self) -> None:
        """An instance name does not leave the prefix."""
        for name in ("..", "../other", "a/../../b", ".", "a/."):
            key = KEY._replace(instance_name=name)
            await self.failed(self.results.put(key, b"result"), InvalidArgument)
            await self.failed(self.results.get(key), InvalidArgument)
        self.assertEqual(self.there.asked, [])

    async def test_connecting_takes_too_long(self) -> None:
        """A connection that does not come in time is no answer, whatever Twisted calls that."""
        peer = self.make_peer(retries=0, seconds=0.01)
        self.patch(peer, "_agent", UnreachableAgent())
        await self.failed(HTTPActionResults(peer, "").get(KEY), NoAnswer)
        asking = Deferred.fromCoroutine(HTTPActionResults(peer, "").get(KEY))
        asking.cancel()
        await self.failed(asking, CancelledError)

    async def test_without_a_length(self) -> None:
        """What may have been cut is not taken for a result: no digest says that it is whole."""
        self.there.files[PATH] = b"result"
        self.there.has_length = False
        told = await self.failed(self.results.get(KEY), Unavailable)
        self.assertIn("Content-Length", told.message)

    async def test_empty(self) -> None:
        """Nothing is no result."""
        self.there.files[PATH] = b""
        await self.failed(self.results.get(KEY), NotFound)

    async def test_too_large(self) -> None:
        """What is too large for a result is something else, and is not read to its end."""
        self.there.files[PATH] = bytes(MOST_BYTES + 1)
        await self.failed(self.results.get(KEY), DataLoss)
