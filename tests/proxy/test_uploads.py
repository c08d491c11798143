"""Tests of gorego_tw.proxy.uploads."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from gorego_tw.digest import DigestFunction, digest_of
from gorego_tw.errors import DigestMismatch, Unavailable
from gorego_tw.interfaces import IUpload, IUploads
from gorego_tw.proxy.uploads import ProxyUploads
from gorego_tw.storage.memory import MemoryBlobs, MemoryUploads
from tests.proxy.fakes import RecordingPolicy

DATA = b"output"
DIGEST = digest_of(DATA, DigestFunction.SHA256)


class ProxyUploadsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.blobs = MemoryBlobs()
        self.policy = RecordingPolicy()
        self.uploads = ProxyUploads(MemoryUploads(self.blobs), self.policy)

    def open(self) -> IUpload:
        """The upload."""
        upload: IUpload = self.successResultOf(self.uploads.open("name", DIGEST))
        return upload

    def test_interface(self) -> None:
        """They are uploads."""
        verifyObject(IUploads, self.uploads)
        verifyObject(IUpload, self.open())

    def test_commit(self) -> None:
        """A whole blob is here when the policy is told."""
        upload = self.open()
        self.successResultOf(upload.write(DATA))
        self.assertEqual((upload.committed_size, self.policy.told), (len(DATA), []))
        self.successResultOf(upload.commit())
        self.assertEqual(self.blobs.blobs, {DIGEST: DATA})
        self.assertEqual(self.policy.told, [("arrived", DIGEST)])

    def test_wrong_bytes(self) -> None:
        """Of a blob that is not what it should be the policy hears nothing."""
        upload = self.open()
        self.successResultOf(upload.write(b"outpux"))
        self.failureResultOf(upload.commit(), DigestMismatch)
        self.assertEqual(self.policy.told, [])

    def test_policy_fails(self) -> None:
        """The write fails if the policy does; the next try needs none of its bytes."""
        self.policy.failure = Unavailable("backing cache: down")
        upload = self.open()
        self.successResultOf(upload.write(DATA))
        self.failureResultOf(upload.commit(), Unavailable)
        self.failureResultOf(self.uploads.is_needless(DIGEST), Unavailable)
        self.policy.failure = None
        self.assertTrue(self.successResultOf(self.uploads.is_needless(DIGEST)))
        self.assertEqual(self.policy.told[-1], ("present", DIGEST))

    def test_needed(self) -> None:
        """What is not here is needed, and the policy is not asked."""
        self.assertFalse(self.successResultOf(self.uploads.is_needless(DIGEST)))
        self.assertEqual(self.policy.told, [])

    def test_suspend_and_abandon(self) -> None:
        """What was suspended is gone on with; what was abandoned is gone."""
        upload = self.open()
        self.successResultOf(upload.write(b"out"))
        self.successResultOf(upload.suspend())
        self.assertEqual(self.successResultOf(self.uploads.committed_size("name")), 3)
        self.successResultOf(self.open().abandon())
        self.assertEqual(self.successResultOf(self.uploads.committed_size("name")), 0)
