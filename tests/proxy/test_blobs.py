"""Tests of gorego_tw.proxy.blobs."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from gorego_tw.body import BytesBody
from gorego_tw.digest import Digest, DigestFunction, digest_of
from gorego_tw.errors import DigestMismatch, InvalidArgument, NotFound, Unavailable
from gorego_tw.interfaces import IBlobAccess, IBlobBody
from gorego_tw.proxy.blobs import ProxyBlobs
from gorego_tw.proxy.here_alone import HereAlone
from gorego_tw.replication.presence import Presence
from gorego_tw.storage.memory import MemoryBlobs
from tests.proxy.fakes import RecordingPolicy
from tests.replication.fakes import FakeRemote

A, B, C = (digest_of(name, DigestFunction.SHA256) for name in (b"a", b"b", b"c"))


class ProxyBlobsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.local = MemoryBlobs()
        self.remote = FakeRemote()
        self.policy = RecordingPolicy()
        self.presence = Presence(clock=Clock(), seconds=60)
        self.fetched: list[Digest] = []
        self.alone = HereAlone()
        self.blobs = ProxyBlobs(
            self.local,
            self.remote,
            fetch=self.fetch,
            presence=self.presence,
            policy=self.policy,
            alone=self.alone,
        )

    async def fetch(self, digest: Digest) -> IBlobBody:
        """The blob from there."""
        self.fetched.append(digest)
        return await self.remote.get(digest)

    def read(self, digest: Digest) -> bytes:
        """A blob."""
        body = self.successResultOf(self.blobs.get(digest))
        return bytes(self.successResultOf(body.read_all()))

    def test_interface(self) -> None:
        """It is a store of blobs."""
        verifyObject(IBlobAccess, self.blobs)

    def test_here(self) -> None:
        """What is here is read here; the backing cache hears nothing of it."""
        self.local.blobs[A] = b"a"
        self.assertEqual(self.read(A), b"a")
        self.assertEqual((self.fetched, self.remote.asked), ([], []))

    def test_there(self) -> None:
        """What is missing here is fetched."""
        self.remote.blobs[A] = b"a"
        self.assertEqual(self.read(A), b"a")
        self.assertEqual(self.fetched, [A])

    def test_nowhere(self) -> None:
        """What is in neither tier is absent."""
        self.failureResultOf(self.blobs.get(A), NotFound)

    def test_trouble(self) -> None:
        """Trouble of the backing cache is never told as absence."""
        self.remote.failure = Unavailable("backing cache: down")
        self.failureResultOf(self.blobs.get(A), Unavailable)

    def test_trouble_here(self) -> None:
        """What the disk cannot read here for now is read there; if it is not there either that is told."""

        async def fail(_: Digest) -> IBlobBody:
            raise Unavailable("local tier: disk")

        self.patch(self.local, "get", fail)
        for failure in (None, Unavailable("backing cache: down")):
            self.remote.failure = failure
            error = self.failureResultOf(self.blobs.get(A), Unavailable).value
            self.assertEqual(str(error), "local tier: disk")
        self.remote.failure = None
        self.remote.blobs[A] = b"a"
        self.assertEqual(self.read(A), b"a")

    def test_put(self) -> None:
        """What is written is here before the policy is told."""
        self.successResultOf(self.blobs.put(A, BytesBody(b"a")))
        self.assertEqual(self.local.blobs, {A: b"a"})
        self.assertEqual(self.policy.told, [("arrived", A)])

    def test_put_of_something_else(self) -> None:
        """Of wrong bytes the policy hears nothing."""
        self.failureResultOf(self.blobs.put(A, BytesBody(b"b")), DigestMismatch)
        self.assertEqual(self.policy.told, [])

    def test_find_missing(self) -> None:
        """The backing cache is asked, once, about what is missing here and not known to be there."""
        self.local.blobs[A] = b"a"
        self.remote.blobs[B] = b"b"
        self.assertEqual(self.successResultOf(self.blobs.find_missing([C, A, B])), [C])
        self.assertEqual(self.remote.asked, [[C, B]])
        self.assertEqual(self.successResultOf(self.blobs.find_missing([C, A, B])), [C])
        self.assertEqual(self.remote.asked[1:], [[C]])

    def test_find_here_alone(self) -> None:
        """What is here and did not get there is missing, until the backing cache says otherwise."""
        self.local.blobs.update({A: b"a", B: b"b"})
        self.alone.add(B)
        self.assertEqual(self.successResultOf(self.blobs.find_missing([C, B, A])), [C, B])
        self.assertEqual(self.remote.asked, [[C, B]])
        self.remote.failure = Unavailable("backing cache: down")
        self.failureResultOf(self.blobs.find_missing([A, B]), Unavailable)
        self.remote.failure = None
        self.remote.blobs[B] = b"b"
        self.assertEqual(self.successResultOf(self.blobs.find_missing([A, B, B])), [])
        self.assertEqual(len(self.alone), 0)

    def test_find_nothing_missing(self) -> None:
        """Where everything is here or known, nobody is asked."""
        self.local.blobs[A] = b"a"
        self.presence.add([B])
        self.assertEqual(self.successResultOf(self.blobs.find_missing([A, B])), [])
        self.assertEqual(self.remote.asked, [])

    def test_find_missing_in_trouble(self) -> None:
        """In trouble, blobs are called missing only where they can be taken."""
        self.remote.failure = Unavailable("backing cache: down")
        self.failureResultOf(self.blobs.find_missing([A]), Unavailable)
        self.policy.writes_without_backing = True
        self.assertEqual(self.successResultOf(self.blobs.find_missing([A])), [A])
        self.remote.failure = InvalidArgument("backing cache: no such instance")
        self.failureResultOf(self.blobs.find_missing([A]), InvalidArgument)
