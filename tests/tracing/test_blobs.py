"""Tests of gorego_tw.tracing.blobs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from gorego_tw.digest import Digest
from gorego_tw.errors import NotFound, Reason, Unavailable
from gorego_tw.interfaces import IBlobAccess
from gorego_tw.storage.memory import MemoryBlobs
from gorego_tw.telemetry.body import TracedBody
from gorego_tw.telemetry.current import current
from gorego_tw.telemetry.span import LocalRoot
from gorego_tw.tracing.blobs import ServedBlobs, TracedBlobs, TracedSink
from gorego_tw.tracing.operation import NOTICED_SECONDS
from tests.replication.fakes import FakeRemote
from tests.storage.contract import BlobAccessContract
from tests.storage.tiers import blob, put, read
from tests.telemetry.counted import Counted
from tests.telemetry.recording import Recording


def absent(_: Digest) -> Reason:
    """Nothing is known of it."""
    return "absent"


class OutsideTests(BlobAccessContract, SynchronousTestCase):
    """As any store, where nothing is recorded."""

    def setUp(self) -> None:
        traced = TracedBlobs(MemoryBlobs(), "LocalStore", "local")
        self.store = ServedBlobs(traced, "ProxyStore", None, absent)


class SampledTests(OutsideTests):
    """As any store, in a request that is sampled."""

    ratio = 1.0

    def setUp(self) -> None:
        super().setUp()
        current.set(Recording(self.ratio).root(Counted().of("Read")))
        self.addCleanup(current.set, None)


class UnsampledTests(SampledTests):
    """As any store, in a request that is not."""

    ratio = 0.0


class SinkTests(BlobAccessContract, SynchronousTestCase):
    """As any store, with blobs copied to it."""

    def setUp(self) -> None:
        self.remote = FakeRemote()
        self.store = self.sink = TracedSink(self.remote, "RemoteStore", "backing")

    def test_put_from(self) -> None:
        """What is copied to it is there."""
        digest, data = blob(1000)
        source = MemoryBlobs()
        source.blobs[digest] = data
        self.successResultOf(self.sink.put_from(digest, lambda: source.get(digest)))
        self.assertEqual(self.remote.blobs, {digest: data})


class BlobsTestCase(SynchronousTestCase):
    ratio = 1.0

    def setUp(self) -> None:
        self.recording = Recording(self.ratio)
        self.clock = self.recording.clock
        self.counted = Counted()
        self.remote = FakeRemote()
        self.local = TracedBlobs(self.remote, "LocalStore", "local")
        self.addCleanup(current.set, None)

    def begin(self, method: str) -> LocalRoot:
        """A request by that method begins."""
        root = self.recording.root(self.counted.of(method))
        current.set(root)
        return root

    def keep(self, size_bytes: int) -> Digest:
        """A blob that is there."""
        digest, data = blob(size_bytes)
        self.remote.blobs[digest] = data
        return digest

    def taking(self, seconds: float, what: Callable[..., Awaitable[Any]]) -> Any:
        """``what``, which takes so long."""

        async def slow(*arguments: Any) -> Any:
            self.clock.advance(seconds)
            return await what(*arguments)

        return slow


class CountingTests(BlobsTestCase):
    """The counts are the same whether the request is sampled or not."""

    def test_get(self) -> None:
        """A blob that is there is a hit, one that is not is a miss, trouble is an error."""
        self.begin("Read")
        self.successResultOf(self.local.get(self.keep(1)))
        self.failureResultOf(self.local.get(blob(2)[0]), NotFound)
        self.remote.failure = Unavailable("down")
        for _ in range(2):
            self.failureResultOf(self.local.get(blob(2)[0]), Unavailable)
        self.assertEqual(
            self.counted.requests("Read"), {"local hit": 1, "local miss": 1, "local error": 2}
        )
        self.assertEqual(self.counted.answers("Read"), {"local": 4})

    def test_put(self) -> None:
        """A write that is done is a hit; one that is not is an error."""
        self.begin("BatchUpdateBlobs")
        self.successResultOf(put(self.local, *blob(1)))
        self.remote.failure = Unavailable("down")
        self.failureResultOf(put(self.local, *blob(1)), Unavailable)
        found = self.counted.requests("BatchUpdateBlobs")
        self.assertEqual(found, {"local hit": 1, "local error": 1})

    def test_put_from(self) -> None:
        """So is a copy."""
        self.begin("Write")
        sink = TracedSink(self.remote, "RemoteStore", "backing")
        digest, data = blob(1)
        source = MemoryBlobs()
        source.blobs[digest] = data
        self.successResultOf(sink.put_from(digest, lambda: source.get(digest)))
        self.remote.failure = Unavailable("down")
        copy = sink.put_from(digest, lambda: source.get(digest))
        self.failureResultOf(copy, Unavailable)
        self.assertEqual(self.counted.requests("Write"), {"backing hit": 1, "backing error": 1})

    def test_find_missing(self) -> None:
        """Each blob that is asked for counts, as often as it is asked for."""
        self.begin("FindMissingBlobs")
        here, gone, gone_too = self.keep(1), blob(2)[0], blob(3)[0]
        for digests in ([here], [gone], [here, gone, here], [gone, gone, gone_too], []):
            found = self.successResultOf(self.local.find_missing(digests))
            self.assertEqual(found, [d for d in (gone, gone_too) if d in digests])
        found = self.counted.requests("FindMissingBlobs")
        self.assertEqual(found, {"local hit": 3, "local miss": 5})

    def test_find_missing_fails(self) -> None:
        """If it is not known, that is an error for each."""
        self.begin("FindMissingBlobs")
        self.remote.failure = Unavailable("down")
        asked = self.local.find_missing([blob(1)[0], blob(2)[0]])
        self.failureResultOf(asked, Unavailable)
        self.assertEqual(self.counted.requests("FindMissingBlobs"), {"local error": 2})

    def test_on_the_way(self) -> None:
        """What a request does beside what it is for is not counted."""
        self.begin("GetActionResult")
        digest = self.keep(1)
        self.successResultOf(self.local.get(digest))
        self.successResultOf(self.local.find_missing([digest]))
        self.begin("Read")
        self.successResultOf(self.local.find_missing([digest]))
        self.assertEqual(self.counted.values("gorego_cache_requests_total"), {})

    def test_no_tier(self) -> None:
        """A store that is several tiers together is none."""
        self.begin("Read")
        proxy = TracedBlobs(self.remote, "ProxyStore")
        self.successResultOf(proxy.get(self.keep(1)))
        self.assertEqual(self.counted.requests("Read"), {})


class UnsampledCountingTests(CountingTests):
    ratio = 0.0


class SpanTests(BlobsTestCase):
    def test_names(self) -> None:
        """Each operation is a span, a part of the request."""
        root = self.begin("Read")
        digest, data = blob(1)
        self.successResultOf(put(self.local, digest, data))
        self.successResultOf(self.local.find_missing([digest]))
        self.successResultOf(self.local.get(digest))
        self.assertEqual(
            [span.name for span in root.spans or ()],
            ["LocalStore.Put", "LocalStore.FindMissing", "LocalStore.Get"],
        )
        self.assertTrue(all(span.ended is not None for span in root.spans or ()))
        self.assertIs(current.get(), root)

    def test_streamed(self) -> None:
        """The span of a blob that comes from elsewhere is over when the blob is there, or let go of."""
        store = TracedBlobs(self.remote, "RemoteStore", "backing")
        digest = self.keep(10)
        root = self.begin("Read")
        body = self.successResultOf(store.get(digest))
        self.assertIsInstance(body, TracedBody)
        self.clock.advance(2)
        self.successResultOf(body.read_all())
        self.successResultOf(store.get(digest)).discard()
        self.assertEqual([span.seconds for span in root.spans or ()], [2, 0])

    def test_failure(self) -> None:
        """A failure is told by the span; absence is none."""
        root = self.begin("Read")
        self.failureResultOf(self.local.get(blob(1)[0]), NotFound)
        self.remote.failure = Unavailable("down")
        self.failureResultOf(self.local.get(blob(1)[0]), Unavailable)
        self.assertEqual([span.details.error for span in root.spans or ()], ["", "down"])

    def test_exemplar(self) -> None:
        """Of a request that is sampled the latency has an example."""
        root = self.begin("Read")
        self.successResultOf(self.local.get(self.keep(1)))
        (bucket, *_) = self.counted.of("Read").tiers["get.local"].latency.buckets()
        assert len(bucket) == 3
        self.assertEqual(bucket[2].labels, {"trace_id": format(root.origin.trace_id, "032x")})


class UnsampledSpanTests(BlobsTestCase):
    ratio = 0.0

    def test_quick(self) -> None:
        """What a request that is not sampled does in no time is not recorded, nor is there an example."""
        root = self.begin("FindMissingBlobs")
        self.successResultOf(self.local.find_missing([blob(1)[0]]))
        self.assertIsNone(root.spans)
        buckets = self.counted.of("FindMissingBlobs").tiers["find_missing.local"].latency.buckets()
        self.assertEqual({len(bucket) for bucket in buckets}, {2})

    def test_slow(self) -> None:
        """What takes its time is, for the request may turn out slow."""
        root = self.begin("FindMissingBlobs")
        self.patch(
            self.remote,
            "find_missing",
            self.taking(NOTICED_SECONDS, self.remote.find_missing),
        )
        self.successResultOf(self.local.find_missing([blob(1)[0]]))
        spans = [(span.name, span.seconds) for span in root.spans or ()]
        self.assertEqual(spans, [("LocalStore.FindMissing", NOTICED_SECONDS)])

    def test_failed(self) -> None:
        """So is what fails."""
        root = self.begin("FindMissingBlobs")
        self.remote.failure = Unavailable("down")
        self.failureResultOf(self.local.find_missing([blob(1)[0]]), Unavailable)
        spans = [(span.name, span.details.error) for span in root.spans or ()]
        self.assertEqual(spans, [("LocalStore.FindMissing", "down")])


class ServedBlobsTests(BlobsTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.reasons: dict[Digest, Reason] = {}
        self.served = ServedBlobs(
            self.remote, "ProxyStore", None, lambda digest: self.reasons.get(digest, "absent")
        )

    def test_interface(self) -> None:
        """It is a store."""
        verifyObject(IBlobAccess, self.served)

    def test_sizes(self) -> None:
        """What is read and written has its size counted, under its method."""
        self.begin("BatchUpdateBlobs")
        self.successResultOf(put(self.served, *blob(1000)))
        self.begin("Read")
        self.successResultOf(read(self.served, blob(1000)[0]))
        for method in ("BatchUpdateBlobs", "Read"):
            self.assertEqual(self.counted.sizes(method), {"": 1})
            self.assertEqual(self.counted.of(method).sizes.sum, 1000)

    def test_what_is_not_there(self) -> None:
        """Has no size, and is a miss, by what is known of it."""
        self.begin("Read")
        self.reasons[blob(2)[0]] = "evicted"
        for size_bytes in (1, 2):
            self.failureResultOf(self.served.get(blob(size_bytes)[0]), NotFound)
        self.assertEqual(self.counted.misses("Read"), {"absent": 1, "evicted": 1})
        self.assertEqual(self.counted.sizes("Read"), {})

    def test_known_reason(self) -> None:
        """What the store says of it goes before."""
        reasons: list[Reason] = ["incomplete", "expired", "backing_down", "denied", "corrupt"]
        self.begin("Read")
        self.reasons[blob(1)[0]] = "evicted"
        for reason in reasons:
            self.remote.failure = NotFound("no", reason=reason)
            self.failureResultOf(self.served.get(blob(1)[0]), NotFound)
        self.assertEqual(self.counted.misses("Read"), dict.fromkeys(reasons, 1))

    def test_find_missing(self) -> None:
        """Each blob that is told to be missing is a miss."""
        self.begin("FindMissingBlobs")
        self.reasons[blob(2)[0]] = "evicted"
        digests = [self.keep(3), blob(1)[0], blob(2)[0], blob(2)[0]]
        self.assertEqual(self.successResultOf(self.served.find_missing(digests)), digests[1:3])
        self.assertEqual(self.counted.misses("FindMissingBlobs"), {"absent": 1, "evicted": 1})

    def test_trouble(self) -> None:
        """Trouble is no miss."""
        self.begin("Read")
        self.remote.failure = Unavailable("down")
        self.failureResultOf(self.served.get(blob(1)[0]), Unavailable)
        self.assertEqual(self.counted.misses("Read"), {})

    def test_on_the_way(self) -> None:
        """What is asked for on the way to something else is neither a size nor a miss."""
        self.begin("UpdateActionResult")
        self.failureResultOf(self.served.get(blob(1)[0]), NotFound)
        self.successResultOf(self.served.find_missing([blob(1)[0]]))
        self.successResultOf(put(self.served, *blob(1)))
        self.successResultOf(read(self.served, blob(1)[0]))
        self.assertEqual(self.counted.misses("UpdateActionResult"), {})
        self.assertEqual(self.counted.sizes("UpdateActionResult"), {})
