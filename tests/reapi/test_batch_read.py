"""Tests of gorego_tw.reapi.batch_read, through BatchReadBlobs."""

from __future__ import annotations

import random
from typing import Any

import zstandard
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from gorego_tw.digest import Digest, DigestFunction, digest_of, empty_digest
from gorego_tw.errors import Code, InvalidArgument, Unavailable
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.reapi.cas import ContentAddressableStorage
from gorego_tw.reapi.limits import Limits
from gorego_tw.storage.disk_threads import HeldDiskThreads, NoDiskThreads
from gorego_tw.turns import Turns
from tests.reapi.fakes import SHA256, FakeCall, message_of
from tests.reapi.test_cas import CASTestCase
from tests.storage.cold_disk import ColdDisk
from tests.storage.compression import CompressingTestCase
from tests.test_turns import turns_taken

ZSTD = pb.Compressor.ZSTD
CALL = FakeCall()


class BatchReadBlobsTests(CASTestCase):
    """BatchReadBlobs."""

    def read(self, *messages: pb.Digest, zstd: bool = False) -> pb.BatchReadBlobsResponse:
        """The reply, whose digests are those asked for."""
        request = pb.BatchReadBlobsRequest(digests=messages)
        if zstd:
            request.acceptable_compressors.append(ZSTD)
        reply = self.result_of(self.service.batch_read_blobs(request, CALL))
        self.assertEqual([response.digest for response in reply.responses], list(messages))
        return reply

    def test_found(self) -> None:
        """Blobs come in the order asked for, as often as asked for."""
        empty = message_of(empty_digest(SHA256))
        here = message_of(self.here)
        reply = self.read(here, empty, here)
        self.assertEqual([r.data for r in reply.responses], [b"here", b"", b"here"])
        self.assertEqual([r.status.code for r in reply.responses], [Code.OK] * 3)
        self.assertEqual([r.compressor for r in reply.responses], [pb.Compressor.IDENTITY] * 3)

    def test_not_found(self) -> None:
        """An absent blob is its own NOT_FOUND."""
        gone, here = self.read(message_of(self.gone), message_of(self.here)).responses
        self.assertEqual((gone.status.code, here.status.code), (Code.NOT_FOUND, Code.OK))
        self.assertIn(str(self.gone), gone.status.message)

    def test_trouble(self) -> None:
        """Trouble is that blob's UNAVAILABLE."""
        self.blobs.failures[self.gone] = Unavailable("backing cache: no route")
        (gone,) = self.read(message_of(self.gone)).responses
        self.assertEqual(gone.status.code, Code.UNAVAILABLE)

    def test_malformed(self) -> None:
        """A malformed digest is that blob's INVALID_ARGUMENT."""
        bad, here = self.read(pb.Digest(hash="a"), message_of(self.here)).responses
        self.assertEqual((bad.status.code, here.data), (Code.INVALID_ARGUMENT, b"here"))
        self.assertIn("1 characters", bad.status.message)

    def test_zstd(self) -> None:
        """A blob is compressed if the client takes that and it becomes smaller."""
        text = b"text " * 1000
        noise = random.Random(3).randbytes(5000)
        digests = [message_of(self.blobs.add(data)) for data in (text, noise, b"small")]
        first, second, third = self.read(*digests, zstd=True).responses
        self.assertEqual(first.compressor, ZSTD)
        self.assertEqual(zstandard.ZstdDecompressor().decompress(first.data), text)
        self.assertEqual((second.compressor, second.data), (pb.Compressor.IDENTITY, noise))
        self.assertEqual((third.compressor, third.data), (pb.Compressor.IDENTITY, b"small"))
        self.assertEqual(self.read(digests[0]).responses[0].data, text)

    def test_zstd_in_threads(self) -> None:
        """A large blob is compressed in a thread, so that nobody else waits for that."""
        threads = HeldDiskThreads()
        self.service = ContentAddressableStorage(self.blobs, Limits(), threads)
        text = b"text " * 100_000
        request = pb.BatchReadBlobsRequest(
            digests=[message_of(self.blobs.add(text))], acceptable_compressors=[ZSTD]
        )
        call = Deferred.fromCoroutine(self.service.batch_read_blobs(request, CALL))
        self.assertNoResult(call)
        threads.release()
        (response,) = self.successResultOf(call).responses
        self.assertEqual(zstandard.ZstdDecompressor().decompress(response.data), text)

    def test_in_turns(self) -> None:
        """Some are read in each turn of the reactor."""
        clock = Clock()
        self.service = ContentAddressableStorage(self.blobs, Limits(), turns=Turns(clock))
        digests = [message_of(self.blobs.add(b"%d" % n)) for n in range(1000)]
        call = Deferred.fromCoroutine(
            self.service.batch_read_blobs(pb.BatchReadBlobsRequest(digests=digests), CALL)
        )
        self.assertGreater(turns_taken(clock, call), 6)
        self.assertEqual([r.digest for r in self.successResultOf(call).responses], digests)

    def test_in_their_order(self) -> None:
        """What fits is settled in the order of the digests, also where not all are read in one turn."""
        clock = Clock()
        self.service = ContentAddressableStorage(self.blobs, Limits(), turns=Turns(clock))
        digests = [message_of(self.blobs.add(b"%d" % n + bytes(9000))) for n in range(1000)]
        call = Deferred.fromCoroutine(
            self.service.batch_read_blobs(pb.BatchReadBlobsRequest(digests=digests), CALL)
        )
        turns_taken(clock, call)
        codes = [response.status.code for response in self.successResultOf(call).responses]
        fitting = codes.count(Code.OK)
        self.assertGreater(fitting, 128)
        self.assertEqual(codes, [Code.OK] * fitting + [Code.RESOURCE_EXHAUSTED] * (1000 - fitting))

    def test_advertised_total_fits(self) -> None:
        """As much as is advertised comes in one reply, in two blobs or in a thousand."""
        total = Limits().max_batch_total_size_bytes
        for count in (2, 1000):
            blobs = [(b"%d" % n).ljust(total // count) for n in range(count)]
            reply = self.read(*(message_of(self.blobs.add(blob)) for blob in blobs))
            self.assertEqual({response.status.code for response in reply.responses}, {Code.OK})
            self.assertLess(len(reply.SerializeToString()), 4 * 1024 * 1024)

    def test_does_not_fit(self) -> None:
        """What does not fit into the reply is RESOURCE_EXHAUSTED, unread; what does comes."""
        large = [message_of(self.blobs.add(b"%d" % n + bytes(1 << 21))) for n in range(2)]
        first, second, here = (reply := self.read(*large, message_of(self.here))).responses
        self.assertEqual((first.status.code, here.data), (Code.OK, b"here"))
        self.assertEqual(second.status.code, Code.RESOURCE_EXHAUSTED)
        self.assertIn("ByteStream.Read", second.status.message)
        self.assertEqual(len(self.blobs.gets), 2)
        self.assertLess(len(reply.SerializeToString()), 4 * 1024 * 1024)

    def test_all_fail(self) -> None:
        """As many failures as a batch may have fit into a reply."""
        most = Limits().max_batch_items
        absent = message_of(digest_of(b"absent", DigestFunction.SHA512))
        malformed = pb.Digest(hash="é" * 1000, size_bytes=-1)
        reply = pb.BatchReadBlobsResponse()
        for count, message in ((9000, malformed), (most, malformed), (most, absent)):
            request = pb.BatchReadBlobsRequest(digests=[message] * count)
            reply = self.result_of(self.service.batch_read_blobs(request, CALL))
            self.assertEqual(len(reply.responses), count)
            self.assertLess(len(reply.SerializeToString()), 4 * 1024 * 1024)
        self.assertEqual(reply.responses[0].digest, absent)

    def test_many_small(self) -> None:
        """As many small blobs as a batch may have come in one reply."""
        here = message_of(self.here)
        reply = self.read(*[here] * Limits().max_batch_items)
        self.assertEqual({response.data for response in reply.responses}, {b"here"})
        self.assertLess(len(reply.SerializeToString()), 4 * 1024 * 1024)

    def test_too_many(self) -> None:
        """More blobs than a reply can answer fail the call."""
        digests = [message_of(self.here)] * (Limits().max_batch_items + 1)
        call = self.service.batch_read_blobs(pb.BatchReadBlobsRequest(digests=digests), CALL)
        self.assert_fails(call, InvalidArgument, "24001 blobs", "24000 at most")


class KeptCompressedTests(CompressingTestCase):
    """Blobs that the local tier keeps compressed."""

    def read(self, size_bytes: int, *, zstd: bool) -> tuple[Any, bytes, Digest]:
        """The answer, what is expected of it, and the digest."""
        digest, data = self.put_text(size_bytes)
        service = ContentAddressableStorage(self.tier.blobs, Limits(), NoDiskThreads())
        request = pb.BatchReadBlobsRequest(
            digests=[message_of(digest)], acceptable_compressors=[ZSTD] if zstd else []
        )
        reply = Deferred.fromCoroutine(service.batch_read_blobs(request, CALL))
        (response,) = self.successResultOf(reply).responses
        self.assertEqual(response.status.code, Code.OK)
        return response, data, digest

    def test_as_it_is_kept(self) -> None:
        """Who takes zstd gets a small blob's only frame as it is kept."""
        response, data, digest = self.read(100_000, zstd=True)
        self.assertTrue(self.path(digest).read_bytes().startswith(response.data))
        self.assertEqual(zstandard.ZstdDecompressor().decompress(response.data), data)

    def test_one_frame(self) -> None:
        """A larger blob comes as one frame, which decoders that know of one only expand."""
        response, data, _ = self.read(1_000_000, zstd=True)
        self.assertEqual(response.compressor, ZSTD)
        self.assertEqual(zstandard.ZstdDecompressor().decompress(response.data), data)

    def test_expanded(self) -> None:
        """Who does not take zstd gets the bytes."""
        for size_bytes in (100_000, 1_000_000):
            response, data, _ = self.read(size_bytes, zstd=False)
            self.assertEqual((response.compressor, response.data), (pb.Compressor.IDENTITY, data))

    def test_damaged(self) -> None:
        """Damage is that blob's DATA_LOSS or NOT_FOUND."""
        digest, _ = self.put_text(100_000)
        path = self.path(digest)
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        service = ContentAddressableStorage(self.tier.blobs, Limits(), NoDiskThreads())
        request = pb.BatchReadBlobsRequest(digests=[message_of(digest)])
        reply = Deferred.fromCoroutine(service.batch_read_blobs(request, CALL))
        (response,) = self.successResultOf(reply).responses
        self.assertIn(response.status.code, (Code.DATA_LOSS, Code.NOT_FOUND))

    def test_damaged_on_the_disk(self) -> None:
        """So it is with what the disk gives to who would get the only frame as it is kept."""
        digest, _ = self.put_text(100_000)
        ColdDisk(self, self.path(digest)).damage(30_000)
        service = ContentAddressableStorage(self.tier.blobs, Limits(), NoDiskThreads())
        request = pb.BatchReadBlobsRequest(
            digests=[message_of(digest)], acceptable_compressors=[ZSTD]
        )
        for code in (Code.DATA_LOSS, Code.NOT_FOUND):
            reply = Deferred.fromCoroutine(service.batch_read_blobs(request, CALL))
            (response,) = self.successResultOf(reply).responses
            self.assertEqual((response.status.code, response.data), (code, b""))
