"""Tests of gorego_tw.remote.blobs and what it is made of, with a server on a socket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from zope.interface.verify import verifyObject

from gorego_tw.body import PIECE_BYTES, BytesBody
from gorego_tw.concurrency import closing
from gorego_tw.digest import Digest, DigestFunction, digest_of
from gorego_tw.errors import (
    AlreadyExists,
    DataLoss,
    DigestMismatch,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    StatusError,
    Unavailable,
    Unimplemented,
)
from gorego_tw.interfaces import IBlobAccess, IBlobBody
from gorego_tw.remote.blobs import SMALL_BYTES, RemoteBlobs
from gorego_tw.remote.capabilities import PeerCapabilities
from tests.remote.cache import CacheTestCase, blob

SIZES = (1, 1000, SMALL_BYTES, SMALL_BYTES + 1, 3_000_000)
LARGE = 1_000_000
DOWN = Unavailable("down")


class Discarded(BytesBody):
    """A body that should not be read.

    :ivar discarded: whether it was let go of.
    """

    discarded = False

    def discard(self) -> None:
        """Let go of it."""
        self.discarded = True


def opening(data: bytes) -> Callable[[], Awaitable[IBlobBody]]:
    """What opens a body as often as it is asked."""

    async def open_body() -> IBlobBody:
        return BytesBody(data)

    return open_body


async def read(blobs: RemoteBlobs, digest: Digest, offset: int = 0) -> bytes:
    """A blob, piece by piece."""
    data = bytearray()
    async with closing((await blobs.get(digest)).chunks(offset)) as pieces:
        async for piece in pieces:
            assert len(piece) <= PIECE_BYTES
            data += piece
    return bytes(data)


def all_of(*coroutines: Any) -> Deferred[list[Any]]:
    """What all of them give, at the same time."""
    return gatherResults(map(Deferred.fromCoroutine, coroutines), consumeErrors=True)


class FindMissingTests(CacheTestCase):
    async def test_missing(self) -> None:
        """Those that are absent are named, in their order, each once."""
        here, (first, _), (second, _) = self.keep(10), blob(20), blob(30)
        missing = await self.blobs.find_missing([second, here, first, second])
        self.assertEqual(missing, [second, first])

    async def test_together(self) -> None:
        """All who ask in one turn are answered by one call; each hears of its own."""
        here, (first, _), (second, _) = self.keep(10), blob(20), blob(30)
        answers = await all_of(
            self.blobs.find_missing([here, first]),
            self.blobs.find_missing([second, first]),
            self.blobs.find_missing([here]),
        )
        self.assertEqual(answers, [[first], [second, first], []])
        self.assertEqual(self.cas.counts["FindMissingBlobs"], 1)

    async def test_functions(self) -> None:
        """Digests of two functions are asked for in a call each."""
        sha, blake = blob(10)[0], digest_of(b"x", DigestFunction.BLAKE3)
        self.assertEqual(await self.blobs.find_missing([blake, sha]), [blake, sha])
        self.assertEqual(self.cas.counts["FindMissingBlobs"], 2)

    async def test_many(self) -> None:
        """More than one call holds are asked for in several."""
        here = self.keep(10)
        digests = [digest_of(b"%d" % n, DigestFunction.SHA256) for n in range(15_000)]
        missing = await self.blobs.find_missing([*digests, here])
        self.assertEqual(missing, digests)
        self.assertEqual(self.cas.counts["FindMissingBlobs"], 2)

    async def test_trouble(self) -> None:
        """Trouble is not absence."""
        self.cas.failures["FindMissingBlobs"] = [DOWN] * 9
        await self.failed(self.blobs.find_missing([blob(10)[0]]), Unavailable)


class GetTests(CacheTestCase):
    async def test_interface(self) -> None:
        """It is a store of blobs, and what it gives are bodies."""
        verifyObject(IBlobAccess, self.blobs)
        body = await self.blobs.get(self.keep(LARGE))
        verifyObject(IBlobBody, body)
        body.discard()

    async def test_sizes(self) -> None:
        """A blob of any size is read, compressed on the way or not, from any offset."""
        for compression in (False, True):
            blobs = self.remote(compression=compression)
            for size_bytes in SIZES:
                digest, data = blob(size_bytes, compressible=True)
                self.there.blobs[digest] = data
                self.assertEqual(await read(blobs, digest), data)
                self.assertEqual(await (await blobs.get(digest)).read_all(), data)
                for offset in (1, size_bytes // 2, size_bytes):
                    self.assertEqual(await read(blobs, digest, offset), data[offset:])

    async def test_absent(self) -> None:
        """What is absent is absent at once."""
        for size_bytes in SIZES:
            await self.failed(self.blobs.get(blob(size_bytes)[0]), NotFound)

    async def test_small_together(self) -> None:
        """Small blobs that are read in one turn come in one call, each once."""
        digests = [self.keep(100, seed) for seed in range(50)]
        bodies = await all_of(*(self.blobs.get(digest) for digest in digests * 2))
        self.assertEqual(len(bodies), 100)
        self.assertEqual(self.cas.counts["BatchReadBlobs"], 1)

    async def test_batch_limit(self) -> None:
        """No call asks for more than the peer allows."""
        blobs = self.remote(capabilities=PeerCapabilities(max_batch_total_size_bytes=100_000))
        digests = [self.keep(30_000, seed) for seed in range(9)]
        await all_of(*(blobs.get(digest) for digest in digests))
        self.assertEqual(self.cas.counts["BatchReadBlobs"], 3)

    async def test_one_absent(self) -> None:
        """One that is absent does not keep the others from coming."""
        here = self.keep(100)
        answers = [Deferred.fromCoroutine(self.blobs.get(d)) for d in (here, blob(200)[0])]
        await answers[0]
        await self.failed(answers[1], NotFound)

    async def test_wrong_bytes(self) -> None:
        """Wrong bytes of a small blob are damage; of a large one read_all tells."""
        for size_bytes in (100, LARGE):
            digest = blob(size_bytes)[0]
            self.there.lies[digest] = blob(size_bytes, 1)[1]
            error = await self.failed(self.read_all(digest), DataLoss)
            self.assertIn("backing cache: blob", error.message)

    async def read_all(self, digest: Digest) -> bytes:
        """The whole blob at once."""
        return await (await self.blobs.get(digest)).read_all()

    async def test_resumed(self) -> None:
        """A stream that breaks off is gone on with at the byte where it was, as long as there is progress."""
        digest, data = blob(LARGE)
        for compression in (False, True):
            self.there.blobs[digest] = data
            self.there.breaks = [(n * LARGE // 10, DOWN) for n in range(1, 10)]
            blobs = self.remote(compression=compression)
            self.assertEqual(await read(blobs, digest), data)
            self.assertEqual(blobs.resumed, 9)

    async def test_unavailable_at_first(self) -> None:
        """A read that fails before its first byte is tried again."""
        self.byte_stream.failures["Read"] = [DOWN, DOWN]
        digest, data = blob(LARGE)
        self.there.blobs[digest] = data
        self.assertEqual(await read(self.blobs, digest), data)

    async def test_no_progress(self) -> None:
        """Without progress it is given up after so many tries."""
        self.byte_stream.failures["Read"] = [DOWN] * 4
        await self.failed(self.blobs.get(self.keep(LARGE)), Unavailable)
        self.assertEqual(self.byte_stream.counts["Read"], 4)

    async def test_too_few(self) -> None:
        """A stream that ends too early is broken off, even if the peer calls that an end."""
        digest, data = blob(LARGE)
        self.there.blobs[digest] = data
        self.there.breaks = [(500_000, None), (700_000, None)]
        self.assertEqual(await read(self.blobs, digest), data)
        self.there.breaks = [(500_000, None)] * 9
        error = await self.failed(read(self.blobs, digest), Unavailable)
        self.assertIn("ended after 500000 bytes", error.message)

    async def test_nothing_left(self) -> None:
        """Nothing is asked for beyond the last byte."""
        digest = self.keep(LARGE)
        self.assertEqual(await read(self.blobs, digest, LARGE), b"")
        self.assertEqual(self.byte_stream.counts["Read"], 1)

    async def test_closed_unread(self) -> None:
        """Pieces that nobody asked for take their call along."""
        for offset in (0, 1000):
            body = await self.blobs.get(self.keep(20_000_000))
            async with closing(body.chunks(offset)):
                pass
            await self.turns()
            self.assertEqual(self.connections.in_flight, 0)

    async def test_one_unavailable(self) -> None:
        """A blob of a batch that the peer cannot read just now is asked for again, alone."""
        here = [self.keep(100, seed) for seed in range(3)]
        self.there.troubles = {here[1]: [DOWN, DOWN]}
        bodies = await all_of(*(self.blobs.get(digest) for digest in here))
        self.assertEqual(await bodies[1].read_all(), self.there.blobs[here[1]])
        self.assertEqual(self.cas.counts["BatchReadBlobs"], 3)
        self.there.troubles = {here[1]: [DOWN] * 9}
        await self.failed(self.blobs.get(here[1]), Unavailable)

    async def test_discard(self) -> None:
        """A body that is not wanted takes its call along."""
        body = await self.blobs.get(self.keep(20_000_000))
        body.discard()
        await self.turns()
        self.assertEqual(self.connections.in_flight, 0)

    async def test_not_asked(self) -> None:
        """What the peer does not serve, or is too large to be asked for, is absent without a question."""
        large = self.keep(LARGE)
        few = PeerCapabilities(digest_functions=frozenset({DigestFunction.BLAKE3}))
        for blobs in (self.remote(max_blob_size_bytes=10), self.remote(capabilities=few)):
            await self.failed(blobs.get(large), NotFound)
            self.assertEqual(await blobs.find_missing([large]), [large])
        self.assertEqual((self.byte_stream.counts, self.cas.counts), ({}, {}))


class PutTests(CacheTestCase):
    async def test_sizes(self) -> None:
        """A blob of any size arrives, compressed on the way or not."""
        for compression in (False, True):
            blobs = self.remote(compression=compression)
            for size_bytes in SIZES:
                for seed, put in enumerate((self.put, self.put_from)):
                    digest, data = blob(size_bytes, seed, compressible=True)
                    await put(blobs, digest, data)
                    self.assertEqual(self.there.blobs.pop(digest), data)

    async def put(self, blobs: RemoteBlobs, digest: Digest, data: bytes) -> None:
        """One way to do it."""
        await blobs.put(digest, BytesBody(data))

    async def put_from(self, blobs: RemoteBlobs, digest: Digest, data: bytes) -> None:
        """The other."""
        await blobs.put_from(digest, opening(data))

    async def test_small_together(self) -> None:
        """Small blobs that are written in one turn leave in one call."""
        await all_of(*(self.blobs.put(d, BytesBody(b)) for d, b in (blob(n) for n in range(1, 50))))
        self.assertEqual(self.cas.counts["BatchUpdateBlobs"], 1)
        self.assertEqual(len(self.there.blobs), 49)

    async def test_said_to_exist(self) -> None:
        """A peer that refuses a small blob because it has it has it."""

        async def put(digest: Digest, body: IBlobBody) -> None:
            body.discard()
            raise AlreadyExists("there already")

        self.patch(self.there, "put", put)
        await self.put(self.blobs, *blob(10))
        self.assertEqual(self.cas.counts["BatchUpdateBlobs"], 1)

    async def test_said_to_be_absent(self) -> None:
        """A peer that answers a small blob with NOT_FOUND is in trouble: nothing was asked for that could be absent."""

        async def put(digest: Digest, body: IBlobBody) -> None:
            body.discard()
            raise NotFound("who is that?")

        self.patch(self.there, "put", put)
        await self.failed(self.put(self.blobs, *blob(10)), Unavailable)

    async def test_exists(self) -> None:
        """A blob that is there already is soon done with."""
        digest = self.keep(20_000_000)
        await self.blobs.put_from(digest, opening(self.there.blobs[digest]))
        self.assertEqual(self.byte_stream.counts["Write"], 1)

    async def test_wrong_bytes(self) -> None:
        """A refusal is told, and not tried again."""
        for size_bytes in (100, LARGE):
            digest, wrong = blob(size_bytes)[0], blob(size_bytes, 1)[1]
            await self.failed(self.blobs.put_from(digest, opening(wrong)), InvalidArgument)
        self.assertEqual(self.byte_stream.counts["Write"], 1)
        self.assertEqual(self.there.blobs, {})

    async def test_wrong_beside_right(self) -> None:
        """Who brings wrong bytes is told so, whoever brings the right ones in the same turn."""
        digest, data = blob(100)
        wrong = blob(100, 1)[1]
        for first, second in ((data, wrong), (wrong, data)):
            puts = {
                content: Deferred.fromCoroutine(self.blobs.put(digest, BytesBody(content)))
                for content in (first, second)
            }
            await puts[data]
            await self.failed(puts[wrong], DigestMismatch)
            self.assertEqual(self.there.blobs.pop(digest), data)

    async def test_wrong_size(self) -> None:
        """A body of another size is let go of unread."""
        for size_bytes, other in ((100, LARGE), (LARGE, 100), (LARGE, LARGE + 1)):
            body = Discarded(blob(other)[1])
            await self.failed(self.blobs.put(blob(size_bytes)[0], body), DigestMismatch)
            self.assertTrue(body.discarded)
        self.assertEqual((self.byte_stream.counts, self.cas.counts), ({}, {}))

    async def test_tried_again(self) -> None:
        """An upload that fails is tried again."""
        for size_bytes, method in ((100, "BatchUpdateBlobs"), (LARGE, "Write")):
            failures: list[StatusError] = [DOWN, DOWN]
            self.cas.failures[method] = self.byte_stream.failures[method] = failures
            digest, data = blob(size_bytes)
            await self.blobs.put_from(digest, opening(data))
            self.assertEqual(self.there.blobs[digest], data)

    async def test_given_up(self) -> None:
        """In the end it is given up."""
        self.byte_stream.failures["Write"] = [DOWN] * 9
        digest, data = blob(LARGE)
        await self.failed(self.blobs.put_from(digest, opening(data)), Unavailable)
        self.assertEqual(self.byte_stream.counts["Write"], 4)

    async def test_one_refused(self) -> None:
        """One blob of a batch that there is no room for does not keep the others from arriving."""

        async def full(digest: Digest, body: IBlobBody) -> None:
            if digest.size_bytes == 7:
                raise ResourceExhausted("full")
            await type(self.there).put(self.there, digest, body)

        self.there.put = full  # type: ignore[method-assign]
        puts = [
            Deferred.fromCoroutine(self.blobs.put(*self.pair(size_bytes))) for size_bytes in (7, 8)
        ]
        await puts[1]
        await self.failed(puts[0], ResourceExhausted)

    def pair(self, size_bytes: int) -> tuple[Digest, IBlobBody]:
        """A blob and its body."""
        digest, data = blob(size_bytes)
        return digest, BytesBody(data)

    async def test_resumed(self) -> None:
        """An upload that breaks off is gone on with where the peer says that it is."""
        digest, data = blob(LARGE)
        asked: list[int] = []

        class Broken(BytesBody):
            async def chunks(self, offset: int = 0, end: int | None = None) -> Any:
                asked.append(offset)
                for at in range(offset, LARGE, 100_000):
                    if at - offset >= 300_000:
                        raise Unavailable("the network is gone")
                    yield self.data[at : at + 100_000]

        async def open_body() -> IBlobBody:
            return Broken(data)

        await self.blobs.put_from(digest, open_body)
        self.assertEqual(self.there.blobs[digest], data)
        self.assertEqual(asked, sorted(asked))
        self.assertGreater(asked[-1], 0)

    async def test_source_fails(self) -> None:
        """What cannot be read here is not the peer's failure."""

        async def open_body() -> IBlobBody:
            raise NotFound("local tier: gone")

        error = await self.failed(self.blobs.put_from(blob(LARGE)[0], open_body), NotFound)
        self.assertEqual(error.message, "local tier: gone")

    async def test_not_sent(self) -> None:
        """What the peer does not serve, or is too large for it, is refused without a call."""
        digest, data = blob(100)
        few = PeerCapabilities(digest_functions=frozenset({DigestFunction.BLAKE3}))
        refusals: list[tuple[RemoteBlobs, type[StatusError]]] = [
            (self.remote(max_blob_size_bytes=10), FailedPrecondition),
            (self.remote(capabilities=few), Unimplemented),
        ]
        for blobs, kind in refusals:
            body = Discarded(data)
            await self.failed(blobs.put(digest, body), kind)
            self.assertTrue(body.discarded)
            await self.failed(blobs.put_from(digest, opening(data)), kind)
        self.assertEqual(self.cas.counts, {})
