"""Tests of gorego_tw.proxy.renewal."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from gorego_tw.digest import DigestFunction, digest_of
from gorego_tw.errors import NotFound, Unavailable
from gorego_tw.interfaces import IBlobAccess
from gorego_tw.proxy.renewal import TICK_SECONDS, NotingUse, Renewal, Used
from gorego_tw.replication.presence import Presence
from gorego_tw.storage.memory import MemoryBlobs
from tests.replication.fakes import FakeRemote

A, B, C = (digest_of(name, DigestFunction.SHA256) for name in (b"a", b"b", b"c"))


class UsedTests(SynchronousTestCase):
    def test_once(self) -> None:
        """What was used often waits once; the first to be used is the first to be taken."""
        used = Used()
        used.note([A, B])
        used.note([C, A])
        self.assertEqual(used.take(2), [A, B])
        self.assertEqual(used.take(9), [C])
        self.assertEqual((used.take(9), used.dropped), ([], 0))

    def test_bounded(self) -> None:
        """What has no room is counted."""
        used = Used(most=2)
        used.note([A, B])
        used.note([C])
        self.assertEqual((len(used), used.dropped), (2, 1))


class NotingUseTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.base = MemoryBlobs()
        self.base.blobs = {A: b"a", B: b"b"}
        self.used = Used()
        self.blobs = NotingUse(self.base, self.used)

    def test_interface(self) -> None:
        """It is a store of blobs."""
        verifyObject(IBlobAccess, self.blobs)

    def test_get(self) -> None:
        """What is read is noted, what is absent is not."""
        self.successResultOf(self.blobs.get(A))
        self.failureResultOf(self.blobs.get(C), NotFound)
        self.assertEqual(self.used.take(9), [A])

    def test_find_missing(self) -> None:
        """What is found is noted, what is missing is not."""
        self.assertEqual(self.successResultOf(self.blobs.find_missing([A, C, B])), [C])
        self.assertEqual(set(self.used.take(9)), {A, B})
        self.assertEqual(self.successResultOf(self.blobs.find_missing([B])), [])
        self.assertEqual(self.used.take(9), [B])


class RenewalTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.used = Used()
        self.remote = FakeRemote()
        self.remote.blobs = {A: b"a", B: b"b"}
        self.renewal = Renewal(
            self.used,
            self.remote,
            renewed=Presence(clock=self.clock, seconds=3600),
            per_minute=12,
            clock=self.clock,
        )
        self.renewal.startService()
        self.addCleanup(self.renewal.stopService)

    def tick(self) -> None:
        """Let the time of one tick pass."""
        self.clock.advance(TICK_SECONDS)

    def test_batched(self) -> None:
        """What was used is renewed in one question."""
        self.used.note([A, B])
        self.assertEqual(self.remote.asked, [])
        self.tick()
        self.assertEqual(self.remote.asked, [[A, B]])
        self.assertEqual((self.renewal.count, self.renewal.absent), (2, 0))

    def test_nothing_used(self) -> None:
        """Where nothing was used nothing is asked."""
        self.tick()
        self.assertEqual(self.remote.asked, [])

    def test_budget(self) -> None:
        """No tick asks for more than its part of a minute's budget; the rest waits."""
        self.used.note([A, B, C])
        self.tick()
        self.tick()
        self.assertEqual(self.remote.asked, [[A, B], [C]])
        self.assertEqual((self.renewal.count, self.renewal.absent), (2, 1))

    def test_not_again(self) -> None:
        """What was renewed a short while ago takes nothing of the budget."""
        self.used.note([A])
        self.tick()
        self.used.note([A, B, C])
        self.tick()
        self.assertEqual(self.remote.asked, [[A], [B, C]])
        self.clock.pump([TICK_SECONDS] * 360)
        self.used.note([A])
        self.tick()
        self.assertEqual(self.remote.asked[2:], [[A]])

    def test_trouble(self) -> None:
        """In trouble it goes on; what could not be renewed is renewed at its next use."""
        self.remote.failure = Unavailable("backing cache: down")
        self.used.note([A])
        self.tick()
        self.remote.failure = None
        self.used.note([A])
        self.tick()
        self.assertEqual((self.remote.asked, self.renewal.count), ([[A], [A]], 1))
