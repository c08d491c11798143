"""What was acknowledged here reaches the backing cache."""

from __future__ import annotations

from pathlib import Path
from random import Random

from twisted.application.service import IService
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from gorego_tw.digest import Digest
from gorego_tw.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    OutOfRange,
    PermissionDenied,
    ResourceExhausted,
    Unavailable,
    Unimplemented,
)
from gorego_tw.forwarding import VIA
from gorego_tw.interfaces import ActionKey, StoredActionResult
from gorego_tw.replication.copying import Copying
from gorego_tw.replication.presence import Presence
from gorego_tw.replication.rests import MOST_SECONDS
from gorego_tw.replication.write_back import (
    LOOK_SECONDS,
    MOST_AT_ONCE,
    STOP_SECONDS,
    WriteBack,
)
from gorego_tw.storage.local import action_key
from gorego_tw.storage.pending import Pending
from tests.calls import carrying
from tests.replication.backing import FakeBacking
from tests.replication.fakes import FakeRemote
from tests.storage.queue_crash import MOST_ENTRIES, run_and_kill
from tests.storage.tiers import TierTestCase, blob


class WriteBackTestCase(TierTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.backing = FakeBacking(self.tier)
        self.may_ask = True
        self.known: set[Digest] = set()
        self.queue = self.start()

    def start(self, max_entries: int = 10_000) -> WriteBack:
        """A running queue, stopped before the tier is closed."""
        self.pending = Pending(
            self.tier.environment, self.clock, max_entries=max_entries, max_bytes=1 << 30
        )
        queue = WriteBack(
            self.pending,
            upload=self.backing.upload,
            ensure=self.backing.ensure,
            put_action=self.backing.put_action,
            results=self.tier.action_results,
            clock=self.clock,
            random=Random(1),
            width=4,
            may_ask=lambda: self.may_ask,
            is_known=self.known.__contains__,
            forget=self.known.difference_update,
        )
        queue.startService()
        self.addCleanup(self.stop, queue)
        return queue

    def stop(self, queue: WriteBack) -> None:
        """Stop it, if that was not done."""
        if queue.running:
            stopping = queue.stopService()
            self.turn(STOP_SECONDS if self.backing.waiting else 0)
            self.successResultOf(stopping)

    def restart(self) -> WriteBack:
        """The same folder in another process, as it were."""
        self.stop(self.queue)
        self.backing.tier = self.reopen()
        self.queue = self.start()
        return self.queue

    def turn(self, seconds: float = 0) -> None:
        """Let some turns of the reactor pass."""
        self.clock.pump([seconds, *[0] * 20])

    def add(self, *seeds: int, size_bytes: int = 100) -> list[Digest]:
        """Keep blobs and queue them."""
        digests = [self.put(size_bytes, seed)[0] for seed in seeds]
        for digest in digests:
            self.successResultOf(self.queue.add_blob(digest))
        return digests

    def add_action(self, *references: Digest, data: bytes = b"result") -> ActionKey:
        """Keep an action result and queue it."""
        key = ActionKey("name", blob(10)[0])
        result = StoredActionResult(data, references)
        self.successResultOf(self.tier.action_results.put(key, result))
        self.successResultOf(self.queue.add_action(key))
        return key


class UploadTests(WriteBackTestCase):
    def test_interface(self) -> None:
        """It is a service."""
        verifyObject(IService, self.queue)

    def test_blobs(self) -> None:
        """What is added is uploaded at once, and then waits no more."""
        digests = self.add(1, 2, 3)
        self.assertEqual((self.queue.depth, self.queue.size_bytes), (3, 300))
        self.assertEqual(self.backing.begun, [])
        self.turn()
        self.assertEqual(self.backing.begun, digests)
        self.assertEqual((self.queue.depth, self.queue.size_bytes), (0, 0))
        self.assertEqual((self.queue.uploaded, self.queue.lost), (3, 0))

    def test_width(self) -> None:
        """So many are under way at once, the oldest first; each that ends makes room for the next."""
        self.backing.held = True
        digests = self.add(*range(9))
        self.turn()
        self.assertEqual(self.backing.begun, digests[:4])
        self.backing.let_go(digests[2])
        self.turn()
        self.assertEqual(self.backing.begun, digests[:5])
        while self.backing.waiting:
            self.backing.let_go(next(iter(self.backing.waiting)))
            self.turn()
        self.assertEqual(self.backing.begun, digests)

    def test_action_after_its_blobs(self) -> None:
        """An action result goes when everything it refers to is there, and not before."""
        self.backing.held = True
        digests = self.add(1, 2)
        key = self.add_action(*digests)
        self.turn()
        self.assertNotIn(key, self.backing.begun)
        self.backing.let_go(digests[0])
        self.turn()
        self.assertNotIn(key, self.backing.begun)
        self.backing.held = False
        self.backing.let_go(digests[1])
        self.turn()
        self.assertEqual(self.backing.results, {key: StoredActionResult(b"result", tuple(digests))})
        self.assertEqual(self.queue.depth, 0)

    def test_action_without_blobs(self) -> None:
        """An action result that refers to nothing goes as it is."""
        key = self.add_action()
        self.turn()
        self.assertEqual(self.backing.begun, [key])

    def test_unknown_references(self) -> None:
        """What an action result refers to is asked for first, unless it is known to be there."""
        there, known, here = (self.put(100, seed)[0] for seed in range(3))
        self.backing.blobs.update((there, known))
        self.known.add(known)
        key = self.add_action(there, known, here)
        self.assertEqual(set(self.pending), {there.key, here.key, action_key(key)})
        self.turn()
        self.assertEqual(self.backing.begun, [here, key])
        self.assertEqual(self.queue.depth, 0)

    def test_action_result_put_again(self) -> None:
        """An action result that is put again while the former is uploaded is uploaded again."""
        self.backing.held = True
        key = self.add_action(data=b"former")
        self.turn()
        self.add_action(data=b"latter")
        self.backing.let_go(key)
        self.turn()
        self.assertEqual(self.backing.results[key].data, b"former")
        self.assertEqual(self.queue.depth, 1)
        self.backing.let_go(key)
        self.turn()
        self.assertEqual(self.backing.results[key].data, b"latter")
        self.assertEqual((self.queue.depth, self.queue.uploaded), (0, 1))

    def test_blob_put_again(self) -> None:
        """A blob that is put again while it is uploaded is there when that has ended."""
        self.backing.held = True
        (digest,) = self.add(1)
        self.turn()
        self.add(1)
        self.backing.let_go(digest)
        self.turn()
        self.assertEqual((self.backing.begun, self.queue.depth), ([digest], 0))

    def test_nobody_elses_metadata(self) -> None:
        """An upload carries nothing of the call that happens to set it going."""
        call = carrying(("authorization", "secret"))
        call.run(self.add, 1)
        call.run(self.turn)
        self.assertEqual(self.backing.metadata, [()])

    def test_way(self) -> None:
        """An upload tells the way of the call that has added it, so that none goes round for ever."""
        carrying(("authorization", "secret"), (VIA, "first#1")).run(self.add, 1)
        self.turn()
        self.assertEqual(self.backing.metadata, [((VIA, "first#1"),)])

    def test_many_that_end_at_once(self) -> None:
        """What ends at once does not keep the reactor from its turns."""
        self.add(*range(MOST_AT_ONCE + 1))
        begun = []
        self.clock.callLater(0, lambda: begun.append(self.queue.uploaded))
        self.turn()
        self.assertEqual([*begun, self.queue.uploaded], [MOST_AT_ONCE, MOST_AT_ONCE + 1])

    def test_full(self) -> None:
        """What does not fit is refused, and is not promised."""
        self.stop(self.queue)
        self.queue = self.start(max_entries=1)
        self.may_ask = False
        self.add(1)
        other = self.put(100, 2)[0]
        self.failureResultOf(Deferred.fromCoroutine(self.queue.add_blob(other)), ResourceExhausted)

    def test_absent_action_result(self) -> None:
        """An action result that is not here cannot be queued; that is no absence to be told."""
        key = ActionKey("", blob(10)[0])
        self.failureResultOf(Deferred.fromCoroutine(self.queue.add_action(key)), Unavailable)


class TroubleTests(WriteBackTestCase):
    def test_outage(self) -> None:
        """While the backing cache fails it is tried less and less often, and nothing is lost."""
        self.backing.down = Unavailable("backing cache: down")
        digests = self.add(*range(20))
        self.turn()
        self.assertEqual(len(self.backing.begun), 1)
        for _ in range(600):
            self.turn(LOOK_SECONDS)
        self.assertTrue(10 <= len(self.backing.begun) <= 40, len(self.backing.begun))
        self.assertEqual((self.queue.depth, self.queue.uploaded, self.queue.lost), (20, 0, 0))
        self.assertGreaterEqual(self.queue.oldest_age_seconds, 600)
        self.backing.down = None
        for _ in range(int(2 * MOST_SECONDS)):
            self.turn(LOOK_SECONDS)
        self.assertEqual(self.backing.blobs, set(digests))
        self.assertEqual((self.queue.depth, self.queue.oldest_age_seconds), (0, 0))

    def test_fail_together(self) -> None:
        """What was under way together and fails together is one failure."""
        self.backing.held = True
        digests = self.add(*range(4))
        self.turn()
        for digest in digests:
            self.backing.let_go(digest, Unavailable("backing cache: down"))
        self.backing.held = False
        for _ in range(2):
            self.turn(LOOK_SECONDS)
        self.assertEqual(self.queue.depth, 0)

    def test_wake(self) -> None:
        """When the backing cache is well again everything is tried at once."""
        self.backing.down = Unavailable("backing cache: down")
        digests = self.add(*range(6))
        for _ in range(100):
            self.turn(LOOK_SECONDS)
        self.backing.down = None
        self.backing.begun.clear()
        self.queue.wake()
        self.turn()
        self.assertEqual(set(self.backing.begun), set(digests))
        self.assertEqual(self.queue.depth, 0)

    def test_may_not_ask(self) -> None:
        """While the breaker is open nothing is tried, and when it closes everything is."""
        self.may_ask = False
        digests = self.add(1, 2)
        for _ in range(10):
            self.turn(LOOK_SECONDS)
        self.assertEqual(self.backing.begun, [])
        self.may_ask = True
        self.queue.wake()
        self.turn()
        self.assertEqual(self.backing.begun, digests)

    def test_one_that_always_fails(self) -> None:
        """What alone fails again and again keeps nothing else from being uploaded soon."""
        (bad,) = self.add(0)
        self.backing.failures[bad] = ResourceExhausted("backing cache: quota")
        for seed in range(1, 200):
            (digest,) = self.add(seed)
            self.turn(LOOK_SECONDS)
            self.turn(LOOK_SECONDS)
            self.assertIn(digest, self.backing.blobs)
        self.assertEqual(self.queue.depth, 1)
        self.assertLess(self.backing.begun.count(bad), 20)

    def test_our_own_fault(self) -> None:
        """Whatever goes wrong, what was acknowledged is kept and tried again."""
        (digest,) = self.add(1)
        self.backing.failures[digest] = KeyError("unexpected")
        self.turn()
        self.assertEqual(self.queue.depth, 1)
        self.backing.failures.clear()
        self.turn(LOOK_SECONDS)
        self.turn(LOOK_SECONDS)
        self.assertEqual(self.queue.depth, 0)

    def test_index_in_trouble(self) -> None:
        """What was uploaded and cannot be noted is uploaded again."""
        (digest,) = self.add(1)

        def fail(_: bytes) -> None:
            raise Unavailable("local tier: index")

        patch = self.patch(self.pending, "done", fail)
        self.turn()
        self.assertEqual((self.queue.depth, self.queue.uploaded), (1, 0))
        patch.restore()
        self.turn(LOOK_SECONDS)
        self.turn(LOOK_SECONDS)
        self.assertEqual(self.backing.begun, [digest, digest])
        self.assertEqual((self.queue.depth, self.queue.uploaded), (0, 1))


class LossTests(WriteBackTestCase):
    def test_refused(self) -> None:
        """What is refused again and again for an hour is given up, and counted; the others are uploaded."""
        errors = (InvalidArgument, FailedPrecondition, Unimplemented, PermissionDenied, OutOfRange)
        self.may_ask = False
        digests = self.add(*range(len(errors) + 1))
        for digest, error in zip(digests, errors, strict=False):
            self.backing.failures[digest] = error("backing cache: no")
        self.may_ask = True
        self.queue.wake()
        for _ in range(58):
            self.turn(60)
        self.assertEqual((self.queue.depth, self.queue.lost, self.queue.uploaded), (5, 0, 1))
        for _ in range(15):
            self.turn(60)
        self.assertEqual((self.queue.depth, self.queue.lost, self.queue.uploaded), (0, 5, 1))
        self.assertLess(len(self.backing.begun), 5 * 25)
        self.assertFalse(self.pending.is_pinned(digests[0].key))

    def test_refused_after_an_outage(self) -> None:
        """What failed in other ways for hours is not given up because of one refusal."""
        (digest,) = self.add(1)
        self.backing.failures[digest] = Unavailable("backing cache: down")
        for _ in range(200):
            self.turn(60)
        self.backing.failures[digest] = PermissionDenied("backing cache: the token is out of date")
        for _ in range(3):
            self.turn(60)
        del self.backing.failures[digest]
        for _ in range(3):
            self.turn(60)
        self.assertEqual((self.queue.depth, self.queue.lost, self.queue.uploaded), (0, 0, 1))

    def test_behind_refused_ones(self) -> None:
        """Many that are refused hold up nothing that is behind them."""
        digests = self.add(*range(200))
        for digest in digests[:-1]:
            self.backing.failures[digest] = PermissionDenied("backing cache: no")
        for _ in range(10):
            self.turn(LOOK_SECONDS)
        self.assertEqual((self.queue.depth, self.queue.lost, self.queue.uploaded), (199, 0, 1))

    def test_refused_once(self) -> None:
        """What is refused because of something that is mended is uploaded then."""
        (digest,) = self.add(1)
        self.backing.failures[digest] = PermissionDenied("backing cache: the token is out of date")
        self.turn()
        del self.backing.failures[digest]
        self.turn(LOOK_SECONDS)
        self.turn(LOOK_SECONDS)
        self.assertEqual((self.queue.depth, self.queue.lost, self.queue.uploaded), (0, 0, 1))

    def test_deleted_behind_our_back(self) -> None:
        """A blob that is gone is given up, and so is the action result that needs it."""
        (digest,) = self.add(1, size_bytes=5000)
        self.add_action(digest)
        self.path(digest).unlink()
        self.turn()
        self.assertEqual((self.queue.depth, self.queue.lost), (0, 2))
        self.assertEqual(self.backing.results, {})

    def test_gone_and_put_again(self) -> None:
        """A blob that was gone, and is put again before that is noticed, is uploaded."""
        self.backing.held = True
        (digest,) = self.add(1)
        self.turn()
        self.tier.inventory.evict([digest.key])
        self.add(1)
        self.backing.held = False
        self.backing.let_go(digest, NotFound("local tier: no blob"))
        self.turn()
        self.assertEqual((self.queue.depth, self.queue.lost), (0, 0))
        self.assertEqual(self.backing.blobs, {digest})

    def test_evicted_everywhere(self) -> None:
        """An action result whose blob was uploaded, and is gone here and there, is given up."""
        (digest,) = self.add(1)
        self.turn()
        self.may_ask = False
        self.known.add(digest)
        self.add_action(digest)
        self.tier.inventory.evict([digest.key])
        self.backing.blobs.clear()
        self.may_ask = True
        self.queue.wake()
        self.turn()
        self.assertEqual((self.queue.depth, self.queue.lost), (0, 1))

    def test_evicted_there_unnoticed(self) -> None:
        """An action result is not lost because a blob is gone there that was believed to be there."""
        (digest,) = self.add(1)
        self.turn()
        self.known.add(digest)
        self.backing.believed = self.known
        self.backing.blobs.clear()
        key = self.add_action(digest)
        self.turn()
        self.assertEqual(self.backing.begun, [digest, digest, key])
        self.assertEqual((self.queue.depth, self.queue.lost), (0, 0))


class StoppingTests(WriteBackTestCase):
    def test_waits(self) -> None:
        """A stop waits for what is under way, and begins nothing more."""
        self.backing.held = True
        digests = self.add(*range(6))
        self.turn()
        stopping = self.queue.stopService()
        self.turn()
        self.assertNoResult(stopping)
        for digest in digests[:4]:
            self.backing.let_go(digest)
        self.turn()
        self.successResultOf(stopping)
        self.assertEqual(self.backing.begun, digests[:4])
        self.assertEqual(list(self.pending), [digest.key for digest in digests[4:]])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_breaks_off(self) -> None:
        """What does not end in time is broken off, and uploaded after the next start."""
        self.backing.held = True
        digests = self.add(1, 2)
        self.turn()
        stopping = self.queue.stopService()
        self.turn(STOP_SECONDS)
        self.successResultOf(stopping)
        self.assertEqual(self.queue.depth, 2)
        self.backing.held = False
        self.restart()
        self.turn(LOOK_SECONDS)
        self.assertEqual(self.backing.blobs, set(digests))

    def test_started_again(self) -> None:
        """What was broken off is in the line again, if the same queue goes on."""
        self.backing.held = True
        digests = self.add(1, 2)
        self.turn()
        stopping = self.queue.stopService()
        self.turn(STOP_SECONDS)
        self.successResultOf(stopping)
        self.backing.held = False
        self.queue.startService()
        self.turn(LOOK_SECONDS)
        self.assertEqual(self.backing.blobs, set(digests))

    def test_restart(self) -> None:
        """What was waiting when it stopped is uploaded after the next start, with its age."""
        self.may_ask = False
        digests = []
        for seed in range(9):
            digests += self.add(seed)
            self.clock.advance(5)
        key = self.add_action(*digests)
        self.restart()
        self.assertEqual((self.queue.depth, self.queue.oldest_age_seconds), (10, 45))
        self.may_ask = True
        self.turn(LOOK_SECONDS)
        self.assertEqual(self.backing.begun, [*digests, key])


class KillTests(TierTestCase):
    """kill -9 with a full queue."""

    def test_kill(self) -> None:
        """Whatever a process with a full queue had acknowledged when it was killed gets upstream."""
        self.close_tier(self.tier)
        self.folder = Path(self.mktemp())
        said = run_and_kill(self.folder, "filled", 10 * MOST_ENTRIES)
        acknowledged = {bytes.fromhex(key) for what, key in said if what == "added"}
        self.assertEqual(len(acknowledged), MOST_ENTRIES)
        self.open_tier()
        remote, results = FakeRemote(), dict[ActionKey, StoredActionResult]()
        queue = self.make_queue(remote, results)
        self.assertEqual(queue.depth, MOST_ENTRIES)
        queue.startService()
        self.clock.pump([LOOK_SECONDS, *[0] * 1000])
        self.assertEqual((queue.depth, queue.lost), (0, 0))
        self.successResultOf(queue.stopService())
        there = {digest.key for digest in remote.blobs} | set(map(action_key, results))
        self.assertEqual(there, acknowledged)

    def make_queue(
        self, remote: FakeRemote, results: dict[ActionKey, StoredActionResult]
    ) -> WriteBack:
        presence = Presence(clock=self.clock, seconds=60)
        copying = Copying(self.tier.blobs, remote, presence)

        async def put_action(key: ActionKey, result: StoredActionResult) -> None:
            self.assertEqual(await remote.find_missing(result.references), [])
            results[key] = result

        return WriteBack(
            Pending(self.tier.environment, self.clock, max_bytes=1 << 30),
            upload=copying.copy,
            ensure=copying.ensure,
            put_action=put_action,
            results=self.tier.action_results,
            clock=self.clock,
            random=Random(1),
            may_ask=lambda: True,
            is_known=copying.is_known,
            forget=presence.forget,
        )
