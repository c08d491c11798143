"""Tests of gorego_tw.replication.copying."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.digest import Digest, DigestFunction, digest_of
from gorego_tw.errors import FailedPrecondition, NotFound, Unavailable
from gorego_tw.replication.copying import Copying
from gorego_tw.replication.presence import Presence
from gorego_tw.storage.memory import MemoryBlobs
from tests.replication.fakes import FakeRemote


class CopyingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.source = MemoryBlobs()
        self.sink = FakeRemote()
        self.presence = Presence(clock=Clock(), seconds=60)
        self.copying = Copying(self.source, self.sink, self.presence, max_blob_size_bytes=100)

    def keep(self, data: bytes) -> Digest:
        """A blob that is here."""
        digest = digest_of(data, DigestFunction.SHA256)
        self.source.blobs[digest] = data
        return digest

    def test_copy(self) -> None:
        """A copy is there, and known to be there, without having been asked for."""
        digest = self.keep(b"data")
        self.assertFalse(self.copying.is_known(digest))
        self.successResultOf(self.copying.copy(digest))
        self.assertEqual(self.sink.blobs, {digest: b"data"})
        self.assertTrue(self.copying.is_known(digest))
        self.assertEqual((self.sink.asked, self.copying.copied), ([], 1))

    def test_not_here(self) -> None:
        """What is not here cannot be copied."""
        digest = digest_of(b"data", DigestFunction.SHA256)
        self.failureResultOf(self.copying.copy(digest), NotFound)

    def test_trouble(self) -> None:
        """What did not get there is not known to be there."""
        digest = self.keep(b"data")
        self.sink.failure = Unavailable("backing cache: down")
        self.failureResultOf(self.copying.copy(digest), Unavailable)
        self.assertFalse(self.copying.is_known(digest))

    def test_ensure(self) -> None:
        """Only what is not known is asked for, in one question, and only what is missing is copied."""
        known, there, here = (self.keep(name) for name in (b"known", b"there", b"here"))
        self.presence.add([known])
        self.sink.blobs[there] = b"there"
        self.successResultOf(self.copying.ensure((known, there, here)))
        self.assertEqual(self.sink.asked, [[there, here]])
        self.assertEqual(set(self.sink.blobs), {there, here})
        self.assertEqual(self.copying.copied, 1)
        self.successResultOf(self.copying.ensure((known, there, here)))
        self.assertEqual(len(self.sink.asked), 1)

    def test_ensure_nowhere(self) -> None:
        """What is in neither place cannot be made sure of."""
        digest = digest_of(b"data", DigestFunction.SHA256)
        self.failureResultOf(self.copying.ensure((digest,)), NotFound)

    def test_too_large(self) -> None:
        """A blob beyond the limit does not fit, and is never made sure of."""
        large = self.keep(bytes(101))
        self.assertFalse(self.copying.fits(large))
        self.assertTrue(self.copying.fits(self.keep(bytes(100))))
        failure = self.failureResultOf(self.copying.ensure((large,)), FailedPrecondition)
        self.assertIn("max_backing_blob_size_bytes", failure.value.message)
        self.assertEqual(self.sink.asked, [])

    def test_no_limit(self) -> None:
        """0 is no limit."""
        copying = Copying(self.source, self.sink, self.presence)
        self.assertTrue(
            copying.fits(digest_of(b"", DigestFunction.SHA256)._replace(size_bytes=1 << 50))
        )
