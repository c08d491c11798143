"""Tests of gorego_tw.proxy.renewal."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.digest import Digest, DigestFunction, digest_of
from gorego_tw.errors import Unavailable
from gorego_tw.proxy.renewal import TICK_SECONDS, Renewal, Used
from gorego_tw.replication.presence import Presence
from tests.replication.fakes import FakeRemote
from tests.storage.tiers import TierTestCase, blob, put, read

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


class RenewalTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.gone: list[Digest] = []
        self.used = Used()
        self.remote = FakeRemote()
        self.remote.blobs = {A: b"a", B: b"b"}
        self.renewal = Renewal(
            self.used,
            self.remote,
            gone=self.gone.extend,
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
        self.assertEqual(self.gone, [C])

    def test_small_budgets(self) -> None:
        """A budget that is no multiple of the ticks is kept over a minute."""
        for per_minute in (1, 3, 9, 13):
            renewal = Renewal(
                self.used,
                self.remote,
                gone=self.gone.extend,
                renewed=Presence(clock=self.clock, seconds=60),
                per_minute=per_minute,
                clock=self.clock,
            )
            self.used.note([blob(n)[0] for n in range(1, 60)])
            for _ in range(12):
                self.successResultOf(Deferred.fromCoroutine(renewal.renew()))
            self.assertEqual(renewal.count + renewal.absent, 2 * per_minute)

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


class LocalUseTests(TierTestCase):
    """The way from a hit to the backing cache."""

    def test_hits_are_renewed(self) -> None:
        """What is read, or found, here is renewed there; what is missing, or only written, is not asked for."""
        used, remote = Used(), FakeRemote()
        self.tier.last_use.observers.append(used.note)
        renewal = Renewal(
            used,
            remote,
            gone=list,
            renewed=Presence(clock=self.clock, seconds=3600),
            per_minute=600,
            clock=self.clock,
        )
        digests = [blob(size)[0] for size in (10, 10_000, 20)]
        for size in (10, 10_000, 20):
            self.successResultOf(put(self.tier.blobs, *blob(size)))
        self.clock.advance(100)
        self.tier.last_use.tick()
        self.successResultOf(read(self.tier.blobs, digests[0]))
        self.successResultOf(self.tier.blobs.find_missing([digests[1], blob(30)[0]]))
        self.successResultOf(self.tier.flush())
        self.successResultOf(renewal.renew())
        self.assertEqual([set(asked) for asked in remote.asked], [set(digests[:2])])
