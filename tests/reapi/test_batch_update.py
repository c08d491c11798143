"""Tests of gorego_tw.reapi.batch and batch_update, through BatchUpdateBlobs."""

from __future__ import annotations

import zstandard
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from gorego_tw.digest import Digest, DigestFunction, digest_of
from gorego_tw.errors import Code, InvalidArgument, ResourceExhausted
from gorego_tw.interfaces import IBlobBody
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.reapi.cas import ContentAddressableStorage
from gorego_tw.reapi.limits import Limits
from gorego_tw.turns import Turns
from tests.reapi.fakes import SHA256, FakeBlobs, FakeCall, message_of
from tests.reapi.test_cas import CASTestCase
from tests.test_turns import turns_taken

ZSTD = pb.Compressor.ZSTD
CALL = FakeCall()
Update = pb.BatchUpdateBlobsRequest.Request


class SlowBlobs(FakeBlobs):
    """Waits to be told before it keeps a blob."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Deferred[None]] = []
        self.cancelled: list[Digest] = []

    async def put(self, digest: Digest, body: IBlobBody) -> None:
        """Wait."""
        self.waiting.append(Deferred())
        try:
            await self.waiting[-1]
        except CancelledError:
            self.cancelled.append(digest)
            raise


class FaultyBlobs(FakeBlobs):
    """Has a fault."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[Digest] = []

    async def put(self, digest: Digest, body: IBlobBody) -> None:
        """Fail with what is no status."""
        self.begun.append(digest)
        raise ZeroDivisionError


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
        for character in "xé\U0001f600":
            item = Update(digest=pb.Digest(hash=character * 25_000, size_bytes=1))
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
        self.service = ContentAddressableStorage(self.blobs, Limits(max_batch_expanded_bytes=1000))
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
        self.service = ContentAddressableStorage(blobs := SlowBlobs(), Limits())
        request = pb.BatchUpdateBlobsRequest(requests=[self.item(b"a"), self.item(b"b")])
        call = Deferred.fromCoroutine(self.service.batch_update_blobs(request, CALL))
        self.assertEqual(len(blobs.waiting), 2)
        blobs.waiting[0].callback(None)
        self.assertNoResult(call)
        call.cancel()
        self.failureResultOf(call, CancelledError)
        self.assertEqual(blobs.cancelled, [digest_of(b"b", SHA256)])

    def test_some_at_a_time(self) -> None:
        """The store has so many blobs at the same time and no more; each that ends makes room."""
        self.service = ContentAddressableStorage(blobs := SlowBlobs(), Limits())
        request = pb.BatchUpdateBlobsRequest(requests=[self.item(b"%d" % n) for n in range(100)])
        call = Deferred.fromCoroutine(self.service.batch_update_blobs(request, CALL))
        self.assertEqual(len(blobs.waiting), 32)
        blobs.waiting[5].callback(None)
        self.assertEqual(len(blobs.waiting), 33)
        for waiting in blobs.waiting:
            if not waiting.called:
                waiting.callback(None)
        reply = self.successResultOf(call)
        self.assertEqual(
            [r.digest for r in reply.responses], [item.digest for item in request.requests]
        )

    def test_in_turns(self) -> None:
        """Some are taken in each turn of the reactor: a store that keeps each at once would keep it for seconds."""
        clock = Clock()
        self.service = ContentAddressableStorage(self.blobs, Limits(), turns=Turns(clock))
        request = pb.BatchUpdateBlobsRequest(requests=[self.item(b"%d" % n) for n in range(1000)])
        call = Deferred.fromCoroutine(self.service.batch_update_blobs(request, CALL))
        self.assertGreater(turns_taken(clock, call), 40)
        self.assertEqual(len(self.successResultOf(call).responses), 1000)

    def test_in_their_order(self) -> None:
        """What may expand is settled in the order of the blobs, also where not all are taken in one turn."""
        clock = Clock()
        limits = Limits(max_batch_expanded_bytes=60_000)
        self.service = ContentAddressableStorage(self.blobs, limits, turns=Turns(clock))
        compress = zstandard.ZstdCompressor().compress
        blobs = [b"%d" % n + bytes(997) for n in range(100, 200)]
        items = [self.item(compress(blob), digest_of(blob, SHA256), ZSTD) for blob in blobs]
        request = pb.BatchUpdateBlobsRequest(requests=items)
        call = Deferred.fromCoroutine(self.service.batch_update_blobs(request, CALL))
        turns_taken(clock, call)
        codes = [response.status.code for response in self.successResultOf(call).responses]
        self.assertEqual(codes, [Code.OK] * 60 + [Code.RESOURCE_EXHAUSTED] * 40)

    def test_many_small(self) -> None:
        """A batch that is full of tiny blobs is taken: clients count bytes, not blobs."""
        items = [self.item(b"%d" % n) for n in range(20_000)]
        request = pb.BatchUpdateBlobsRequest(requests=items)
        reply = self.result_of(self.service.batch_update_blobs(request, CALL))
        self.assertEqual({r.status.code for r in reply.responses}, {Code.OK})
        self.assertLessEqual(
            {digest_of(b"%d" % n, SHA256) for n in range(20_000)}, {*self.blobs.held}
        )

    def test_fault(self) -> None:
        """A fault that is no status fails the call as it is, and nothing more is begun."""
        self.service = ContentAddressableStorage(blobs := FaultyBlobs(), Limits())
        request = pb.BatchUpdateBlobsRequest(requests=[self.item(b"a"), self.item(b"b")])
        call = Deferred.fromCoroutine(self.service.batch_update_blobs(request, CALL))
        self.failureResultOf(call, ZeroDivisionError)
        self.assertEqual(blobs.begun, [digest_of(b"a", SHA256)])
