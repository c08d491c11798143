"""Tests of gorego_tw.tracing.uploads."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.digest import Digest
from gorego_tw.errors import DigestMismatch
from gorego_tw.storage.memory import MemoryBlobs, MemoryUploads
from gorego_tw.telemetry.current import current
from gorego_tw.tracing.uploads import ServedUploads, TracedUploads
from tests.storage.contract import UploadsContract
from tests.storage.tiers import blob
from tests.telemetry.counted import Counted
from tests.telemetry.recording import Recording


class OutsideTests(UploadsContract, SynchronousTestCase):
    """As any uploads, where nothing is recorded."""

    def setUp(self) -> None:
        self.store = blobs = MemoryBlobs()
        traced = TracedUploads(MemoryUploads(blobs), "LocalStore", "local")
        self.uploads = ServedUploads(traced, "ProxyStore")


class InsideTests(OutsideTests):
    """As any uploads, in a request too."""

    def setUp(self) -> None:
        super().setUp()
        current.set(Recording().root(Counted().of("Write")))
        self.addCleanup(current.set, None)


class CountingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.blobs = MemoryBlobs()
        local = TracedUploads(MemoryUploads(self.blobs), "LocalStore", "local")
        self.uploads = ServedUploads(local, "ProxyStore")
        self.counted = Counted()
        self.root = Recording().root(self.counted.of("Write"))
        current.set(self.root)
        self.addCleanup(current.set, None)

    def write(self, digest: Digest, data: bytes) -> None:
        """Upload a blob."""
        upload = self.successResultOf(self.uploads.open("name", digest))
        self.successResultOf(upload.write(data))
        self.successResultOf(upload.commit())

    def test_once(self) -> None:
        """A blob is one write and one size, however many stores it passes."""
        self.write(*blob(1000))
        self.assertEqual(self.counted.requests("Write"), {"local hit": 1})
        self.assertEqual(self.counted.answers("Write"), {"local": 1})
        self.assertEqual(self.counted.sizes("Write"), {"": 1})
        self.assertEqual(self.counted.of("Write").sizes.sum, 1000)

    def test_spans(self) -> None:
        """Opening and committing are spans, those of the store below within those of the one above."""
        self.write(*blob(1000))
        spans = {span.name: span for span in self.root.spans or ()}
        self.assertEqual(
            list(spans),
            ["ProxyStore.OpenUpload", "LocalStore.OpenUpload", "ProxyStore.Put", "LocalStore.Put"],
        )
        self.assertIs(spans["LocalStore.Put"].parent, spans["ProxyStore.Put"])
        self.assertIs(spans["ProxyStore.Put"].parent, self.root)
        self.assertIs(current.get(), self.root)

    def test_wrong_bytes(self) -> None:
        """What is not the blob is an error, and has no size."""
        upload = self.successResultOf(self.uploads.open("name", blob(1000)[0]))
        self.successResultOf(upload.write(b"other"))
        self.failureResultOf(upload.commit(), DigestMismatch)
        self.assertEqual(self.counted.requests("Write"), {"local error": 1})
        self.assertEqual(self.counted.sizes("Write"), {})

    def test_needless(self) -> None:
        """A write of what is there is done; one that is needed is not done yet."""
        digest, data = blob(1000)
        self.assertFalse(self.successResultOf(self.uploads.is_needless(digest)))
        self.assertEqual(self.counted.requests("Write"), {})
        self.blobs.blobs[digest] = data
        self.assertTrue(self.successResultOf(self.uploads.is_needless(digest)))
        self.assertEqual(self.counted.requests("Write"), {"local hit": 1})

    def test_no_write(self) -> None:
        """Who asks how far a write is does not write."""
        digest, data = blob(1000)
        self.blobs.blobs[digest] = data
        current.set(Recording().root(self.counted.of("QueryWriteStatus")))
        self.assertTrue(self.successResultOf(self.uploads.is_needless(digest)))
        self.assertEqual(self.counted.values("gorego_cache_requests_total"), {})
