"""Tests of gorego_tw.reapi.cas: FindMissingBlobs, BatchUpdateBlobs and BatchReadBlobs."""

from __future__ import annotations

import random

import zstandard
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from twisted.internet.defer import CancelledError, Deferred

from gorego_tw.digest import Digest, DigestFunction, digest_of, empty_digest
from gorego_tw.errors import Code, InvalidArgument, ResourceExhausted, Unavailable
from gorego_tw.interfaces import IBlobBody
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.reapi.cas import ContentAddressableStorage
from gorego_tw.reapi.limits import Limits
from tests.reapi.fakes import SHA256, FakeBlobs, FakeCall, ServiceTestCase, message_of

ZSTD = pb.Compressor.ZSTD
CALL = FakeCall()
Update = pb.BatchUpdateBlobsRequest.Request


class CASTestCase(ServiceTestCase):
    """A service with one blob."""

    def setUp(self) -> None:
        """One blob."""
        self.blobs = FakeBlobs()
        self.here = self.blobs.add(b"here")
        self.gone = digest_of(b"gone", SHA256)
        self.service = ContentAddressableStorage(self.blobs, Limits())


class FindMissingBlobsTests(CASTestCase):
    """FindMissingBlobs."""

    def missing(self, *messages: pb.Digest, function: int = 0) -> list[pb.Digest]:
        """The digests in the reply."""
        request = pb.FindMissingBlobsRequest(blob_digests=messages)
        request.digest_function = function  # type: ignore[assignment]
        reply = self.result_of(self.service.find_missing_blobs(request, CALL))
        return list(reply.missing_blob_digests)

    def test_missing(self) -> None:
        """Those that are absent are listed, in order."""
        other = message_of(digest_of(b"other", SHA256))
        gone, here = message_of(self.gone), message_of(self.here)
        self.assertEqual(self.missing(other, here, gone), [other, gone])
        self.assertEqual(self.missing(gone, other), [gone, other])
        self.assertEqual(self.missing(here), [])
        self.assertEqual(self.missing(), [])

    def test_duplicates(self) -> None:
        """One that is asked for twice is listed once."""
        gone = message_of(self.gone)
        self.assertEqual(self.missing(gone, message_of(self.here), gone), [gone])

    def test_wrong_size(self) -> None:
        """A blob with another size is absent."""
        wrong = pb.Digest(hash=self.here.hash, size_bytes=5)
        self.assertEqual(self.missing(wrong), [wrong])

    def test_empty_blob(self) -> None:
        """The empty blob is never missing, in any function."""
        for function in DigestFunction:
            empty = message_of(empty_digest(function))
            self.assertEqual(self.missing(empty, function=function), [])

    def test_functions(self) -> None:
        """SHA-256 is asked for by its number or by none; BLAKE3 with the same hash is another."""
        here = message_of(self.here)
        self.assertEqual(self.missing(here, function=pb.DigestFunction.SHA256), [])
        self.assertEqual(self.missing(here, function=pb.DigestFunction.BLAKE3), [here])

    def test_one_question(self) -> None:
        """Ten thousand digests are one question to the store."""
        digests = [digest_of(b"%d" % n, SHA256) for n in range(10_000)]
        self.assertEqual(len(self.missing(*map(message_of, digests))), 10_000)
        self.assertEqual(self.blobs.questions, [digests])

    def test_malformed(self) -> None:
        """One malformed digest fails the call, as the reply has no place to say which."""
        bad = pb.Digest(hash="ABC", size_bytes=1)
        request = pb.FindMissingBlobsRequest(blob_digests=[message_of(self.here), bad])
        call = self.service.find_missing_blobs(request, CALL)
        self.assert_fails(call, InvalidArgument, "blob_digests[1]", "'ABC'", "64 (SHA256)")

    def test_function_not_served(self) -> None:
        """A digest function that is not served fails the call."""
        request = pb.FindMissingBlobsRequest(digest_function=pb.DigestFunction.MD5)
        call = self.service.find_missing_blobs(request, CALL)
        self.assert_fails(call, InvalidArgument, "MD5", "SHA256")

    def test_instance_name(self) -> None:
        """An instance name with a keyword in it fails the call."""
        request = pb.FindMissingBlobsRequest(instance_name="a/uploads")
        call = self.service.find_missing_blobs(request, CALL)
        self.assert_fails(call, InvalidArgument, "'uploads'")


class BatchUpdateBlobsTests(CASTestCase):
    """BatchUpdateBlobs."""

    def statuses(self, *items: Update, function: int = 0) -> list[Status]:
        """The statuses in the reply, whose digests are those of the items."""
        request = pb.BatchUpdateBlobsRequest(requests=items)
        request.digest_function = function  # type: ignore[assignment]
        reply = self.result_of(self.service.batch_update_blobs(request, CALL))
        self.assertEqual([r.digest for r in reply.responses], [i.digest for i in items])
        return [response.status for response in reply.responses]

    def assert_status(self, item: Update, code: Code, *fragments: str) -> None:
        """The item, between two good ones, ends like that and does them no harm."""
        good = [self.item(b"first"), self.item(b"last")]
        first, status, last = self.statuses(good[0], item, good[1])
        self.assertEqual((first.code, last.code), (Code.OK, Code.OK))
        self.assertEqual(status.code, code)
        for fragment in fragments:
            self.assertIn(fragment, status.message)

    def item(self, data: bytes, digest: Digest | None = None, compressor: int = 0) -> Update:
        """The data as an item, under its digest unless another is given."""
        item = Update(digest=message_of(digest or digest_of(data, SHA256)), data=data)
        item.compressor = compressor  # type: ignore[assignment]
        return item

    def test_kept(self) -> None:
        """All blobs are kept, also twice the same, and the empty one."""
        statuses = self.statuses(*map(self.item, (b"a", b"b", b"a", b"")))
        self.assertEqual([status.code for status in statuses], [Code.OK] * 4)
        self.assertEqual(self.blobs.held[digest_of(b"a", SHA256)], b"a")
        self.assertEqual(self.blobs.held[digest_of(b"b", SHA256)], b"b")

    def test_none(self) -> None:
        """A batch of nothing is answered with nothing."""
        self.assertEqual(self.statuses(), [])

    def test_mismatch(self) -> None:
        """Data of another digest is that blob's INVALID_ARGUMENT."""
        self.assert_status(self.item(b"x", self.gone), Code.INVALID_ARGUMENT, self.gone.hash)
        self.assertNotIn(self.gone, self.blobs.held)

    def test_malformed(self) -> None:
        """A malformed digest is that blob's INVALID_ARGUMENT."""
        item = Update(digest=pb.Digest(hash="XYZ", size_bytes=1), data=b"x")
        self.assert_status(item, Code.INVALID_ARGUMENT, "'XYZ'", "64 (SHA256)")

    def test_huge_hash(self) -> None:
        """A malformed hash of any length is cut in the reply."""
        item = Update(digest=pb.Digest(hash="x" * 100_000, size_bytes=1))
        request = pb.BatchUpdateBlobsRequest(requests=[item])
        reply = self.result_of(self.service.batch_update_blobs(request, CALL))
        overhead = Limits().max_batch_item_overhead_bytes
        self.assertLess(len(reply.SerializeToString()), overhead)

    def test_no_room(self) -> None:
        """A full disk is that blob's RESOURCE_EXHAUSTED, with its details."""
        retry = RetryInfo()
        retry.retry_delay.seconds = 5
        self.blobs.failures[self.gone] = ResourceExhausted("disk: full", retry)
        self.assert_status(self.item(b"gone"), Code.RESOURCE_EXHAUSTED, "disk: full")
        (status,) = self.statuses(self.item(b"gone"))
        unpacked = RetryInfo()
        self.assertTrue(status.details[0].Unpack(unpacked))
        self.assertEqual(unpacked, retry)

    def test_functions(self) -> None:
        """The digest function of the request is that of all its blobs."""
        digest = digest_of(b"x", DigestFunction.BLAKE3)
        (status,) = self.statuses(self.item(b"x", digest), function=DigestFunction.BLAKE3)
        self.assertEqual((status.code, self.blobs.held[digest]), (Code.OK, b"x"))

    def test_zstd(self) -> None:
        """Compressed data is kept expanded."""
        compressed = zstandard.ZstdCompressor().compress(b"gone")
        (status,) = self.statuses(self.item(compressed, self.gone, ZSTD))
        self.assertEqual((status.code, self.blobs.held[self.gone]), (Code.OK, b"gone"))

    def test_bad_zstd(self) -> None:
        """Data that is not zstd, or of another size or hash, is that blob's INVALID_ARGUMENT."""
        compress = zstandard.ZstdCompressor().compress
        for data, fragment in (
            (b"gone", "at the start"),
            (compress(b"gone") + b"garbage", "after the last frame"),
            (compress(b"gon"), "announces 4"),
            (compress(b"goner"), "more than the 4 bytes"),
            (compress(b"gnoe"), self.gone.hash),
        ):
            item = self.item(data, self.gone, ZSTD)
            self.assert_status(item, Code.INVALID_ARGUMENT, fragment)

    def test_expansion(self) -> None:
        """What compressed blobs of a batch expand to together is bounded."""
        data = bytes(600)
        digest, compressed = digest_of(data, SHA256), zstandard.ZstdCompressor().compress(data)
        self.service = ContentAddressableStorage(
            self.blobs, Limits(max_batch_expanded_bytes=1000)
        )
        item = self.item(compressed, digest, ZSTD)
        first, second = self.statuses(item, item)
        self.assertEqual((first.code, second.code), (Code.OK, Code.RESOURCE_EXHAUSTED))
        self.assertIn("1000", second.message)

    def test_compressor_not_served(self) -> None:
        """Another compressor is that blob's INVALID_ARGUMENT."""
        item = self.item(b"gone", self.gone, pb.Compressor.BROTLI)
        self.assert_status(item, Code.INVALID_ARGUMENT, "compressor 3", "IDENTITY and ZSTD")

    def test_too_large_blob(self) -> None:
        """A blob over the largest taken is that blob's INVALID_ARGUMENT."""
        self.service = ContentAddressableStorage(self.blobs, Limits(max_blob_size_bytes=5))
        self.assert_status(self.item(b"123456"), Code.INVALID_ARGUMENT, "6 bytes", "has 5")

    def test_total(self) -> None:
        """Data of exactly the limit is taken; one byte more fails the call."""
        total = Limits().max_batch_total_size_bytes
        halves = [self.item(bytes(total // 2)), self.item(bytes(total // 2))]
        self.assertEqual([status.code for status in self.statuses(*halves)], [Code.OK] * 2)
        request = pb.BatchUpdateBlobsRequest(requests=[*halves, self.item(b"x")])
        call = self.service.batch_update_blobs(request, CALL)
        self.assert_fails(call, InvalidArgument, "4000001 bytes", "4000000 at most")

    def test_too_many(self) -> None:
        """More blobs than a reply can answer fail the call."""
        self.service = ContentAddressableStorage(self.blobs, Limits(max_batch_items=2))
        request = pb.BatchUpdateBlobsRequest(requests=[Update()] * 3)
        call = self.service.batch_update_blobs(request, CALL)
        self.assert_fails(call, InvalidArgument, "3 blobs", "2 at most")

    def test_at_the_same_time(self) -> None:
        """The store has all blobs before the first is kept: they share what keeping costs."""
        waiting: list[Deferred[None]] = []
        cancelled: list[Digest] = []

        async def put(digest: Digest, body: IBlobBody) -> None:
            waiting.append(Deferred())
            try:
                await waiting[-1]
            except CancelledError:
                cancelled.append(digest)
                raise

        self.patch(self.blobs, "put", put)
        request = pb.BatchUpdateBlobsRequest(requests=[self.item(b"a"), self.item(b"b")])
        call = Deferred.fromCoroutine(self.service.batch_update_blobs(request, CALL))
        self.assertEqual(len(waiting), 2)
        waiting[0].callback(None)
        self.assertNoResult(call)
        call.cancel()
        self.failureResultOf(call, CancelledError)
        self.assertEqual(cancelled, [digest_of(b"b", SHA256)])

    def test_fault(self) -> None:
        """A fault that is no status fails the call as it is."""

        async def put(digest: Digest, body: IBlobBody) -> None:
            raise ZeroDivisionError

        self.patch(self.blobs, "put", put)
        request = pb.BatchUpdateBlobsRequest(requests=[self.item(b"a"), self.item(b"b")])
        call = Deferred.fromCoroutine(self.service.batch_update_blobs(request, CALL))
        self.failureResultOf(call, ZeroDivisionError)


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
        noise = random.Random(3).randbytes(5000)  # noqa: S311 - no secret
        digests = [message_of(self.blobs.add(data)) for data in (text, noise, b"small")]
        first, second, third = self.read(*digests, zstd=True).responses
        self.assertEqual(first.compressor, ZSTD)
        self.assertEqual(zstandard.ZstdDecompressor().decompress(first.data), text)
        self.assertEqual((second.compressor, second.data), (pb.Compressor.IDENTITY, noise))
        self.assertEqual((third.compressor, third.data), (pb.Compressor.IDENTITY, b"small"))
        self.assertEqual(self.read(digests[0]).responses[0].data, text)

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
        count = Limits().max_batch_items
        bad = [pb.Digest(hash="x" * 1000, size_bytes=-1)] * count
        request = pb.BatchReadBlobsRequest(digests=bad)
        reply = self.result_of(self.service.batch_read_blobs(request, CALL))
        self.assertEqual(len(reply.responses), count)
        self.assertLess(len(reply.SerializeToString()), 4 * 1024 * 1024)

    def test_too_many(self) -> None:
        """More blobs than a reply can answer fail the call."""
        digests = [message_of(self.here)] * (Limits().max_batch_items + 1)
        call = self.service.batch_read_blobs(pb.BatchReadBlobsRequest(digests=digests), CALL)
        self.assert_fails(call, InvalidArgument, "10001 blobs", "10000 at most")
