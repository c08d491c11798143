"""Tests of gorego_tw.reuse.sketch."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.digest import Digest
from gorego_tw.interfaces import ActionKey
from gorego_tw.reuse.sketch import (
    ACTION_FACTOR,
    HALF_LIFE_SECONDS,
    LIMITS,
    WEIGHTY_BYTES,
    Sketch,
    capacities,
)
from gorego_tw.storage.local import action_key

#: Capacities of 5, 10, 15 and 20 entries.
CAPACITIES = [5000, 10_000, 15_000, 20_000]


def digests(count: int, size_bytes: int = 100, seed: int = 1) -> list[Digest]:
    """Some digests."""
    random = Random(seed)
    return [Digest(b"\x01" + random.randbytes(32), size_bytes) for _ in range(count)]


class SketchTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.here: dict[bytes, int] = {}
        self.sketch = self.make(1.0)

    def make(self, chance: float, most_samples: int = 1000) -> Sketch:
        return Sketch(CAPACITIES, self.here.get, chance, most_samples)

    def store(self, blobs: list[Digest]) -> None:
        """They are here, and take 1,000 bytes each."""
        self.here |= {digest.key: 1000 for digest in blobs}
        self.sketch.use(blobs)

    def misses(self) -> list[float]:
        return self.sketch.blobs.misses


class LookupTests(SketchTestCase):
    def test_nothing_known(self) -> None:
        """Without lookups there is no estimate."""
        self.assertEqual(self.sketch.blobs.hit_ratios(), [])

    def test_never_stored(self) -> None:
        """What never was here is a miss at any limit."""
        self.sketch.look_up(digests(1)[0])
        self.assertEqual(self.sketch.blobs.hit_ratios(), [0, 0, 0, 0])

    def test_distance(self) -> None:
        """What fits with all that was used since is a hit; what does not is a miss."""
        blobs = digests(12)
        self.store(blobs)
        self.assertFalse(self.sketch.look_up(blobs[7]))  # with 4 others since
        self.assertEqual(self.misses(), [0, 0, 0, 0])
        self.sketch.look_up(blobs[6])  # with 6
        self.assertEqual(self.misses(), [1, 0, 0, 0])
        self.sketch.look_up(blobs[0])  # with 11
        self.assertEqual(self.misses(), [2, 1, 0, 0])
        self.assertEqual(self.sketch.blobs.hit_ratios(), [1 - 2 / 3, 1 - 1 / 3, 1, 1])

    def test_evicted(self) -> None:
        """What is no longer here is looked for where it would be."""
        blobs = digests(12)
        self.store(blobs)
        del self.here[blobs[0].key]
        self.sketch.look_up_all([blobs[0]])
        self.assertEqual(self.misses(), [1, 1, 0, 0])

    def test_beyond_the_last_limit(self) -> None:
        """What is older than all that twice the limit can hold is forgotten."""
        blobs = digests(50)
        self.store(blobs)
        self.assertEqual(len(self.sketch), 20)
        self.here.clear()
        self.sketch.look_up(blobs[0])
        self.assertEqual(self.misses(), [1, 1, 1, 1])

    def test_here_before_we_began(self) -> None:
        """What is here and unknown was used before all that is known, and was not evicted."""
        known, others = digests(30), digests(2, seed=2)
        self.here |= {digest.key: 1000 for digest in others}
        self.sketch.look_up(others[0])
        self.assertEqual(self.misses(), [0, 0, 0, 0])
        self.store(known)
        self.sketch.look_up(others[1])
        self.assertEqual(self.misses(), [1, 0, 0, 0])

    def test_action_results(self) -> None:
        """They are counted for themselves, each for its instance name."""
        key = ActionKey("a", digests(1)[0])
        self.here[action_key(key)] = 500
        self.sketch.use_action(key)
        self.assertFalse(self.sketch.look_up_action(key))
        self.sketch.look_up_action(key._replace(instance_name="b"))
        self.assertEqual(self.sketch.actions.hit_ratios(), [0.5] * 4)
        self.assertEqual(self.sketch.blobs.lookups, 0)

    def test_age(self) -> None:
        """After a week, what was counted counts half, and the ratio is what it was."""
        blobs = digests(12)
        self.store(blobs)
        self.sketch.look_up_all([blobs[0], *digests(3, seed=2)])
        before = self.sketch.blobs.hit_ratios()
        self.sketch.age(HALF_LIFE_SECONDS)
        self.assertEqual((self.sketch.blobs.lookups, self.misses()[0]), (2, 2))
        self.assertEqual(self.sketch.blobs.hit_ratios(), before)


class SampleTests(SketchTestCase):
    def test_chance(self) -> None:
        """So many are in the sample as the chance says, and those that are always are."""
        self.sketch = self.make(1 / 16)
        blobs = digests(4000)
        sampled = [self.sketch.look_up(digest) for digest in blobs]
        self.assertTrue(200 < sum(sampled) < 300, sum(sampled))
        self.assertEqual([self.sketch.look_up(digest) for digest in blobs], sampled)
        self.assertEqual(self.sketch.blobs.lookups, 8000)

    def test_stands_for_others(self) -> None:
        """The misses of the sample stand for all."""
        self.sketch = self.make(1 / 16)
        self.sketch.look_up_all(digests(4000))
        self.assertTrue(all(3200 < misses < 4800 for misses in self.misses()))

    def test_action_results_have_a_larger_chance(self) -> None:
        """And stand for fewer."""
        self.sketch = self.make(1 / 64)
        sampled = [self.sketch.look_up_action(ActionKey("", d)) for d in digests(4000)]
        self.assertTrue(200 < sum(sampled) < 300, sum(sampled))
        weight = 64 / ACTION_FACTOR
        self.assertEqual(self.sketch.actions.misses, [sum(sampled) * weight] * len(LIMITS))

    def test_large_ones(self) -> None:
        """The chance of a large blob is as much larger as it is; of the largest all are in the sample."""
        self.sketch = self.make(1 / 16)
        sampled = [self.sketch.look_up(d) for d in digests(1000, 4 * WEIGHTY_BYTES)]
        self.assertTrue(200 < sum(sampled) < 300, sum(sampled))
        self.assertTrue(all(map(self.sketch.look_up, digests(100, 16 * WEIGHTY_BYTES))))

    def test_bound(self) -> None:
        """With too many in the sample the chance is halved, and what is kept stays in its order."""
        self.sketch = Sketch([10**9] * 4, self.here.get, 1.0, 100)
        blobs = digests(1000)
        self.store(blobs)
        self.assertTrue(1 / 64 <= self.sketch.chance <= 1 / 8)
        kept = [key for key, _ in self.sketch.samples()]
        self.assertTrue(40 <= len(kept) < 100)
        self.assertEqual(kept, [digest.key for digest in blobs if digest.key in set(kept)])
        self.sketch.look_up_all(blobs)
        self.assertEqual(self.misses(), [0, 0, 0, 0])

    def test_bytes_after_halving(self) -> None:
        """Those that are kept stand for the bytes of all."""
        self.sketch = Sketch([10**7] * 4, self.here.get, 1.0, 400)
        blobs = digests(2000)
        self.store(blobs)
        self.assertTrue(1_700_000 < self.sketch._recency.weight < 2_300_000)
        self.assertTrue(self.sketch.chance < 1)

    def test_restored(self) -> None:
        """Another sketch goes on with the sample."""
        blobs = digests(12)
        self.store(blobs)
        other = self.make(1.0)
        other.restore(1.0, self.sketch.samples())
        self.assertEqual(other.samples(), self.sketch.samples())
        other.look_up(blobs[0])
        self.assertEqual(other.blobs.misses, [1, 1, 0, 0])


class CapacityTests(SynchronousTestCase):
    def test_headroom(self) -> None:
        """Entries have the limit without what is kept free of it."""
        self.assertEqual(capacities(1600), [750, 1500, 2250, 3000])
