"""What builds are at work with stays."""

from __future__ import annotations

from random import Random

from gorego_tw.digest import Digest
from gorego_tw.errors import NotFound
from gorego_tw.eviction import in_progress
from gorego_tw.eviction.in_progress import FRESH_SECONDS, GENERATIONS, InProgress
from gorego_tw.eviction.janitor import LOOK_SECONDS, Janitor
from gorego_tw.interfaces import ActionKey, StoredActionResult
from gorego_tw.storage.completeness import CompletenessChecking
from gorego_tw.storage.last_use import FLUSH_SECONDS
from gorego_tw.storage.remembered import Remembering
from gorego_tw.storage.taken import blob_bytes
from tests.storage.tiers import TierTestCase, blob

LIMIT = 4_000_000
SIZE = 90_000

#: As much of the limit as is pinned here: enough blobs to see which are.
SHARE = 0.5
MIN_AGE = 1600.0


class InProgressTestCase(TierTestCase):
    """A tier with a janitor, and time that passes for both."""

    def setUp(self) -> None:
        super().setUp()
        self.reopen(LIMIT)
        self.stored = 0
        self.employ(MIN_AGE)
        self.results = Remembering(
            CompletenessChecking(self.tier.action_results, self.tier.blobs),
            self.tier.index,
            self.tier.last_use,
        )

    def employ(self, min_age_seconds: float) -> None:
        self.in_progress = InProgress(self.tier.last_use, min_age_seconds, round(LIMIT * SHARE))
        self.janitor = Janitor(self.tier, Random(1), in_progress=self.in_progress)
        self.janitor.startService()
        janitor = self.janitor
        self.addCleanup(lambda: janitor.running and janitor.stopService())

    def replace_janitor(self, min_age_seconds: float) -> None:
        """Have one with another setting."""
        self.janitor.stopService()
        self.tier.last_use.observers.clear()
        self.employ(min_age_seconds)

    def wait(self, seconds: float) -> None:
        """Let time pass, with its flushes and looks."""
        until = self.clock.seconds() + seconds
        while self.clock.seconds() < until:
            self.clock.advance(min(LOOK_SECONDS, until - self.clock.seconds()))
            self.tier.last_use.tick()
            if self.tier.last_use.due:
                while self.tier.last_use.flush_slice():
                    pass
            self.clock.pump([0] * 20)

    def upload(self, count: int, seconds: float = 2) -> list[Digest]:
        """Put blobs that are new, with so much time after each."""
        digests = []
        for _ in range(count):
            self.stored += 1
            digests.append(self.put(SIZE, self.stored)[0])
            self.wait(seconds)
        return digests

    def is_pinned(self, digest: Digest) -> bool:
        """Whether a blob is, whose last use was long ago as far as the index knows."""
        return self.in_progress.is_pinned(digest.key, 0)

    def keep_result(self, name: str, outputs: list[Digest]) -> ActionKey:
        """An action result that refers to those blobs."""
        key = ActionKey(name, blob(10)[0])
        result = StoredActionResult(b"result", tuple(outputs))
        self.successResultOf(self.results.put(key, result))
        return key

    def build(self, count: int) -> tuple[ActionKey, list[Digest]]:
        """What a build has stored."""
        outputs = self.upload(count)
        return self.keep_result(f"build {self.stored}", outputs), outputs

    def missing(self, digests: list[Digest]) -> list[Digest]:
        """Those that are gone; nothing is renewed by the question."""
        return [digest for digest in digests if self.tier.inventory.find(digest) is None]


class FloodTests(InProgressTestCase):
    def test_answered_once(self) -> None:
        """What was answered once stays while three times the limit is written within its time."""
        key, outputs = self.build(5)
        self.wait(100)
        self.successResultOf(self.results.get(key))
        self.upload(130)
        self.assertGreater(self.janitor.evicted_entries, 90)
        self.assertEqual(self.missing(outputs), [])
        self.assertEqual(self.in_progress.overflows, 0)

    def test_it_is_the_pin(self) -> None:
        """With no time to stay, the same is gone after the same."""
        self.replace_janitor(0)
        key, outputs = self.build(5)
        self.wait(100)
        self.successResultOf(self.results.get(key))
        self.upload(130)
        self.assertEqual(self.missing(outputs), outputs)

    def test_its_time_is_over(self) -> None:
        """After its time it goes as everything else that is old."""
        key, outputs = self.build(5)
        self.successResultOf(self.results.get(key))
        self.wait(MIN_AGE * (1 + 1 / GENERATIONS) + 2 * FLUSH_SECONDS)
        self.assertEqual((len(self.in_progress), self.in_progress.size_bytes), (0, 0))
        self.upload(130)
        self.assertEqual(self.missing(outputs), outputs)

    def test_answered_from_memory(self) -> None:
        """An answer that comes from memory renews the time as any other."""
        key, outputs = self.build(5)
        for _ in range(6):
            self.wait(MIN_AGE / 2)
            self.successResultOf(self.results.get(key))
        self.upload(130)
        self.assertEqual(self.missing(outputs), [])

    def test_older_ones_first(self) -> None:
        """Nothing that was answered goes before anything that was not used for longer."""
        old = self.upload(20)
        key, outputs = self.build(10)
        self.successResultOf(self.results.get(key))
        while not self.missing(outputs):
            self.upload(1, seconds=60)
            if self.missing(outputs):
                self.assertEqual(self.missing(old), old)
        self.assertGreater(self.clock.seconds() - 1_000_000, MIN_AGE)

    def test_in_use_before_the_flush(self) -> None:
        """What was answered a moment ago is pinned before its use was written."""
        key, outputs = self.build(1)
        self.wait(100)
        self.assertFalse(self.is_pinned(outputs[0]))
        self.successResultOf(self.results.get(key))
        self.assertTrue(self.is_pinned(outputs[0]))
        self.wait(FLUSH_SECONDS)
        self.assertFalse(self.tier.last_use.is_pending(outputs[0].key))
        self.assertTrue(self.is_pinned(outputs[0]))

    def test_fresh(self) -> None:
        """What was written right now stays, though nobody has asked for it yet and all others are in use."""
        old = self.upload(36, seconds=10)
        for _ in range(10):
            for digest in old:
                if not self.missing([digest]):
                    self.successResultOf(self.tier.blobs.get(digest)).discard()
            (new,) = self.upload(1, seconds=FRESH_SECONDS - 1)
            self.assertEqual(self.missing([new]), [])
            old.append(new)
        self.assertGreater(len(self.missing(old)), 0)

    def test_fresh_at_full_speed(self) -> None:
        """What was answered stays while so much is written that nothing else in the cache is older than some seconds."""
        key, outputs = self.build(5)
        self.wait(100)
        self.successResultOf(self.results.get(key))
        self.upload(200, seconds=0.1)
        self.assertGreater(self.janitor.evicted_entries, 150)
        self.assertEqual(self.missing(outputs), [])

    def test_answered_in_the_second_it_was_put(self) -> None:
        """A blob that is used in the same second is used all the same."""
        digest, _ = self.put(SIZE, 1)
        self.successResultOf(self.tier.blobs.find_missing([digest]))
        self.wait(FLUSH_SECONDS)
        self.assertTrue(self.is_pinned(digest))


class BoundTests(InProgressTestCase):
    def test_huge_build(self) -> None:
        """One that uses more than half of the cache has less than half of it pinned, the newest."""
        key, outputs = self.build(38)
        del key
        for digest in outputs:
            self.successResultOf(self.tier.blobs.get(digest)).discard()
            self.wait(30)
        self.wait(FLUSH_SECONDS)
        self.assertLessEqual(self.in_progress.size_bytes, LIMIT * SHARE)
        pinned = [self.is_pinned(digest) for digest in outputs]
        self.assertEqual(pinned, sorted(pinned))
        self.assertEqual(self.in_progress.overflows, pinned.count(False))
        self.upload(100)
        gone = self.missing(outputs)
        self.assertEqual(gone, outputs[: len(gone)])
        self.assertGreaterEqual(pinned.count(True), len(outputs) - len(gone))
        self.assertGreaterEqual(len(gone), 15)

    def test_huge_build_in_one_moment(self) -> None:
        """One that is answered at once leaves the disk to others as well."""
        key, outputs = self.build(40)
        self.successResultOf(self.results.get(key))
        uploads = self.upload(60)
        self.assertLessEqual(self.in_progress.size_bytes, LIMIT * SHARE)
        self.assertLessEqual(self.tier.space.used_bytes, LIMIT)
        self.assertGreater(self.in_progress.overflows, 0)
        self.assertGreaterEqual(len(self.missing(outputs)), 15)
        self.assertLess(len(self.missing(outputs)), 30)
        self.assertEqual(self.missing(uploads[-10:]), [])

    def test_everything_in_use(self) -> None:
        """Where everything is in use, what was answered first goes first; writes are not refused."""
        self.in_progress = InProgress(self.tier.last_use, MIN_AGE, LIMIT)
        self.janitor.in_progress = self.in_progress
        outputs: list[Digest] = []
        for _ in range(60):
            outputs += self.upload(1, seconds=0)
            self.successResultOf(self.tier.blobs.get(outputs[-1])).discard()
            self.wait(10)
        gone = self.missing(outputs)
        self.assertGreaterEqual(len(gone), 15)
        self.assertTrue(set(gone) <= set(outputs[: len(gone) + 12]))
        self.assertGreater(self.in_progress.released, 0)

    def test_everything_in_use_before_a_flush(self) -> None:
        """Uses that are not written yet do not make the disk full."""
        digests: list[Digest] = []
        for _ in range(60):
            digests += self.upload(1, seconds=0)
            self.successResultOf(self.tier.blobs.get(digests[-1])).discard()
            self.wait(0.5)
        self.assertEqual(len(self.in_progress), 0)
        self.assertLessEqual(self.tier.space.used_bytes, LIMIT)
        self.assertEqual(self.missing(digests[-1:]), [])

    def test_entries(self) -> None:
        """However small they are, no more than so many are pinned."""
        self.patch(in_progress, "MOST_ENTRIES", 160)
        for number in range(50):
            self.in_progress.note(blob(10, 10 * number + one)[0] for one in range(10))
        self.assertLessEqual(len(self.in_progress), 160)
        self.assertEqual(self.in_progress.overflows, 500 - len(self.in_progress))
        self.assertTrue(self.is_pinned(blob(10, 499)[0]))


class NoteTests(InProgressTestCase):
    def test_used_again(self) -> None:
        """A blob that is used again counts once, as used now."""
        digest, _ = blob(SIZE)
        self.in_progress.note([digest])
        taken = self.in_progress.size_bytes
        self.wait(MIN_AGE * 0.7)
        self.in_progress.note([digest])
        self.assertEqual((len(self.in_progress), self.in_progress.size_bytes), (1, taken))
        self.wait(MIN_AGE * 0.7)
        self.assertTrue(self.is_pinned(digest))
        self.wait(MIN_AGE * 0.7)
        self.assertFalse(self.is_pinned(digest))

    def test_generations(self) -> None:
        """However often blobs are used again, what is kept of them is as much as there are."""
        digests = [blob(10, number)[0] for number in range(300)]
        random = Random(1)
        for _ in range(300):
            self.tier.last_use.now += 3
            self.in_progress.note(random.sample(digests, 100))
        self.assertLess(len(self.in_progress._generations), 6 * GENERATIONS)
        self.assertLessEqual(len(self.in_progress), 300)
        self.assertEqual(self.in_progress.size_bytes, blob_bytes(10) * len(self.in_progress))

    def test_nothing_to_release(self) -> None:
        """Where nothing is pinned nothing is given up."""
        self.assertTrue(self.in_progress.release())
        self.assertFalse(self.in_progress.release())

    def test_switched_off(self) -> None:
        """With no time nothing is pinned, and nothing noted."""
        self.replace_janitor(0)
        digest, _ = self.put(SIZE)
        self.successResultOf(self.tier.blobs.find_missing([digest]))
        self.assertFalse(self.is_pinned(digest))
        self.assertEqual(self.tier.last_use.observers, [])
        self.assertFalse(self.in_progress.release())

    def test_gone(self) -> None:
        """An action result whose blobs went is a miss, pinned or not."""
        key, outputs = self.build(2)
        self.successResultOf(self.results.get(key))
        self.tier.inventory.evict([outputs[0].key])
        self.failureResultOf(self.results.get(key), NotFound)
