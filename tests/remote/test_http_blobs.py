"""Tests of gorego_tw.remote.http_blobs and the requests below it, with a server on a socket."""

from __future__ import annotations

from typing import Any

from google.rpc.error_details_pb2 import RetryInfo
from twisted.internet.defer import CancelledError, Deferred
from zope.interface.verify import verifyObject

from gorego_tw.body import BytesBody
from gorego_tw.concurrency import closing
from gorego_tw.digest import Digest
from gorego_tw.errors import (
    DataLoss,
    FailedPrecondition,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    StatusError,
    Unauthenticated,
    Unavailable,
)
from gorego_tw.interfaces import IBlobAccess, IBlobBody
from gorego_tw.remote.breaker import FAILURES, CircuitOpen
from gorego_tw.remote.http_blobs import HTTPBlobs
from tests.calls import carrying
from tests.remote.cache import blob
from tests.remote.http_server import HTTPTestCase

LARGE = 3_000_000
SIZES = (1, 1000, LARGE)


class BlobsTestCase(HTTPTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.blobs = HTTPBlobs(self.peer)

    def keep(self, size_bytes: int) -> tuple[Digest, bytes]:
        """A blob that is there."""
        digest, data = blob(size_bytes)
        self.there.files[f"cas/{digest.hash}"] = data
        return digest, data

    async def read(self, digest: Digest, offset: int = 0) -> bytes:
        """A blob, piece by piece."""
        data = bytearray()
        async with closing((await self.blobs.get(digest)).chunks(offset)) as pieces:
            async for piece in pieces:
                data += piece
        return bytes(data)


class GetTests(BlobsTestCase):
    async def test_interface(self) -> None:
        """It is a store of blobs, and what it gives are bodies."""
        verifyObject(IBlobAccess, self.blobs)
        body = await self.blobs.get(self.keep(LARGE)[0])
        verifyObject(IBlobBody, body)
        body.discard()

    async def test_sizes(self) -> None:
        """A blob of any size is read, from any offset."""
        for size_bytes in SIZES:
            digest, data = self.keep(size_bytes)
            self.assertEqual(await self.read(digest), data)
            self.assertEqual(await (await self.blobs.get(digest)).read_all(), data)
            for offset in (1, size_bytes // 2, size_bytes):
                self.assertEqual(await self.read(digest, offset), data[offset:])

    async def test_absent(self) -> None:
        """404 and 410 are absence."""
        await self.failed(self.blobs.get(blob(10)[0]), NotFound)
        self.there.codes = [410]
        await self.failed(self.blobs.get(blob(10)[0]), NotFound)

    async def test_other_answers(self) -> None:
        """Other codes are never absence, and the message has them."""
        self.blobs = HTTPBlobs(self.make_peer(retries=0))
        digest, _ = self.keep(10)
        kinds: dict[int, type[StatusError]] = {
            302: FailedPrecondition,
            401: Unauthenticated,
            403: PermissionDenied,
            429: ResourceExhausted,
            500: Unavailable,
            503: Unavailable,
        }
        for code, kind in kinds.items():
            self.there.codes = [code]
            error = await self.failed(self.blobs.get(digest), kind)
            self.assertIn(f"backing cache: HTTP {code}", error.message)

    async def test_retry_after(self) -> None:
        """A server that says when to come back is heard."""
        self.there.codes, self.there.retry_after = [429], "7"
        self.blobs = HTTPBlobs(self.make_peer(retries=0))
        error = await self.failed(self.blobs.get(self.keep(10)[0]), ResourceExhausted)
        (detail,) = error.details
        self.assertIsInstance(detail, RetryInfo)
        self.assertEqual(detail.retry_delay.seconds, 7)

    async def test_resumed(self) -> None:
        """A response that breaks off is gone on with by a range, as long as there is progress."""
        digest, data = self.keep(LARGE)
        self.there.cuts = [300_000] * 9
        self.assertEqual(await self.read(digest), data)
        self.assertEqual(self.blobs.resumed, 9)
        self.assertIn(f"GET cas/{digest.hash} bytes=", self.there.asked[1])

    async def test_no_ranges(self) -> None:
        """A server that knows no ranges sends everything again, and what is known is skipped."""
        digest, data = self.keep(LARGE)
        self.there.ranges = False
        self.there.cuts = [300_000, 900_000, 2_000_000]
        self.assertEqual(await self.read(digest), data)

    async def test_no_progress(self) -> None:
        """Without progress it is given up."""
        self.there.cuts = [0] * 9
        await self.failed(self.read(self.keep(LARGE)[0]), Unavailable)
        self.assertEqual(len(self.there.asked), 3)

    async def test_other_length(self) -> None:
        """A file of another length is something else, and not a byte of it is given out."""
        self.there.lie = 1
        await self.failed(self.read(self.keep(1000)[0]), DataLoss)

    async def test_wrong_bytes(self) -> None:
        """Wrong bytes that are read at once are damage."""
        digest, _ = self.keep(1000)
        self.there.files[f"cas/{digest.hash}"] = bytes(1000)
        body = await self.blobs.get(digest)
        await self.failed(body.read_all(), DataLoss)

    async def test_silence(self) -> None:
        """A server that says nothing is given up."""
        self.there.silent = True
        self.blobs = HTTPBlobs(self.make_peer(retries=2, seconds=0.1))
        error = await self.failed(self.blobs.get(blob(10)[0]), Unavailable)
        self.assertEqual(error.message, "backing cache: deadline exceeded after 0.1 s")

    async def test_leaving(self) -> None:
        """Who leaves takes the request along."""
        self.there.silent = True
        asking = Deferred.fromCoroutine(self.blobs.get(blob(10)[0]))
        await self.turns(0.05)
        asking.cancel()
        await self.failed(asking, CancelledError)

    async def test_nobody_there(self) -> None:
        """A server that is not there is in trouble; after a few requests it is left alone."""
        await self.stop_listening()
        self.blobs = HTTPBlobs(self.make_peer(retries=0))
        for _ in range(FAILURES):
            await self.failed(self.blobs.get(blob(10)[0]), Unavailable)
        await self.failed(self.blobs.get(blob(10)[0]), CircuitOpen)

    async def test_headers(self) -> None:
        """Requests carry the static headers and what travels on from the call, bytes as base64."""
        peer = self.make_peer(headers=(("authorization", "Bearer x"), ("own", "static")))
        context = carrying(("own", "mine"), ("trace-bin", b"\0\1"))
        digest, _ = self.keep(10)
        await context.run(Deferred.fromCoroutine, HTTPBlobs(peer).get(digest))
        sent = self.there.headers
        self.assertEqual((sent["authorization"], sent["own"]), ("Bearer x", "mine"))
        self.assertEqual((sent["trace-bin"], sent["user-agent"]), ("AAE=", "gorego"))


class PutTests(BlobsTestCase):
    async def test_sizes(self) -> None:
        """A blob of any size arrives."""
        for size_bytes in SIZES:
            digest, data = blob(size_bytes)
            await self.blobs.put(digest, BytesBody(data))
            self.assertEqual(self.there.files.pop(f"cas/{digest.hash}"), data)

    async def test_tried_again(self) -> None:
        """An upload that fails is tried again with the whole blob."""
        digest, data = blob(LARGE)
        self.there.codes = [503, 500]

        async def open_body() -> IBlobBody:
            return BytesBody(data)

        await self.blobs.put_from(digest, open_body)
        self.assertEqual(self.there.files[f"cas/{digest.hash}"], data)
        self.assertEqual(len(self.there.asked), 3)

    async def test_refused(self) -> None:
        """A refusal is told."""
        self.there.codes = [403]
        digest, data = blob(10)
        await self.failed(self.blobs.put(digest, BytesBody(data)), PermissionDenied)

    async def test_source_fails(self) -> None:
        """What cannot be read here is not the peer's failure."""

        class Broken(BytesBody):
            async def chunks(self, offset: int = 0, end: int | None = None) -> Any:
                yield self.data[:10]
                raise DataLoss("local tier: damaged")

        digest, data = blob(LARGE)
        error = await self.failed(self.blobs.put(digest, Broken(data)), DataLoss)
        self.assertEqual(error.message, "local tier: damaged")

    async def test_too_large(self) -> None:
        """A blob beyond the limit is refused without a request, and is absent without one."""
        blobs = HTTPBlobs(self.peer, max_blob_size_bytes=10)
        digest, data = self.keep(11)
        await self.failed(blobs.put(digest, BytesBody(data)), FailedPrecondition)
        await self.failed(blobs.get(digest), NotFound)
        self.assertEqual(await blobs.find_missing([digest]), [digest])
        self.assertEqual(self.there.asked, [])


class PlacesTests(BlobsTestCase):
    async def test_bound(self) -> None:
        """No more requests are under way than there are places, whatever is asked at a time."""
        blobs = HTTPBlobs(self.make_peer(most=2))
        kept = [self.keep(LARGE) for _ in range(5)]
        bodies = [Deferred.fromCoroutine(blobs.get(digest)) for digest, _ in kept]
        await self.turns(0.05)
        self.assertEqual(len(self.there.asked), 2)
        for reading, (_, data) in zip(bodies, kept, strict=True):
            self.assertEqual(await (await reading).read_all(), data)
        self.assertEqual(len(self.there.asked), 5)

    async def test_given_back(self) -> None:
        """A place comes back from whatever ends a request: refusals with pages, absence, bodies that are
        not wanted, hang or break off, calls that are left.
        """
        blobs = HTTPBlobs(self.make_peer(most=1, retries=0, seconds=0.1))
        digest, data = self.keep(LARGE)
        for _ in range(2):
            await self.failed(blobs.get(blob(10)[0]), NotFound)
            self.there.codes = [403]
            await self.failed(blobs.put(digest, BytesBody(data)), PermissionDenied)
            self.there.stalls = [404, 200]
            await self.failed(blobs.get(blob(10)[0]), NotFound)
            await self.failed((await blobs.get(blob(10)[0])).read_all(), Unavailable)
            (await blobs.get(digest)).discard()
            self.there.cuts = [0]
            await self.failed(blobs.get(digest), Unavailable)
            self.there.silent = True
            asking = Deferred.fromCoroutine(blobs.get(digest))
            asking.cancel()
            await self.failed(asking, CancelledError)
            self.there.silent = False
        self.assertEqual(await (await blobs.get(digest)).read_all(), data)

    async def test_greeting(self) -> None:
        """Who finds out whether the server answers needs no place."""
        self.there.silent = True
        peer = self.make_peer(most=1)
        asking = Deferred.fromCoroutine(HTTPBlobs(peer).get(blob(10)[0]))
        await self.turns(0.05)
        self.there.silent = False
        await peer.greet()
        asking.cancel()
        await self.failed(asking, CancelledError)


class BreakerTests(BlobsTestCase):
    async def test_bodies_that_hang(self) -> None:
        """A server whose heads come and whose bodies do not is left alone."""
        blobs = HTTPBlobs(self.make_peer(retries=0, seconds=0.05))
        digest = blob(10)[0]
        self.there.stalls, self.there.begun = [200] * FAILURES, b""
        for _ in range(FAILURES):
            await self.failed(blobs.get(digest), Unavailable)
        await self.failed(blobs.get(digest), CircuitOpen)

    async def test_source_fails(self) -> None:
        """What cannot be read here is no failure of the server."""

        class Broken(BytesBody):
            async def chunks(self, offset: int = 0, end: int | None = None) -> Any:
                if self.data:
                    raise DataLoss("local tier: damaged")
                yield b""

        digest, data = blob(LARGE)
        for _ in range(FAILURES):
            await self.failed(self.blobs.put(digest, Broken(data)), DataLoss)
        await self.blobs.put(digest, BytesBody(data))


class FindMissingTests(BlobsTestCase):
    async def test_missing(self) -> None:
        """Those that are absent are named, in their order, each once."""
        (here, _), (first, _), (second, _) = self.keep(10), blob(20), blob(30)
        missing = await self.blobs.find_missing([second, here, first, second])
        self.assertEqual(missing, [second, first])
        self.assertTrue(all(asked.startswith("HEAD cas/") for asked in self.there.asked))

    async def test_other_length(self) -> None:
        """A file of another length is not the blob."""
        digest, _ = self.keep(10)
        other = digest._replace(size_bytes=11)
        self.assertEqual(await self.blobs.find_missing([other]), [other])

    async def test_trouble(self) -> None:
        """Trouble, and a server that knows no HEAD, is not absence."""
        for code in (500, 405):
            self.there.codes = [code] * 3
            await self.failed(self.blobs.find_missing([blob(10)[0]]), Unavailable)
            self.there.codes.clear()


class GreetTests(BlobsTestCase):
    async def test_answers(self) -> None:
        """Any answer is one."""
        await self.peer.greet()
        self.there.codes = [403]
        await self.peer.greet()

    async def test_does_not_answer(self) -> None:
        """A server in trouble has not answered."""
        self.there.codes = [502]
        await self.failed(self.peer.greet(), Unavailable)
