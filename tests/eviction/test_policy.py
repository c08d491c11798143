"""Which entries go."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.eviction.policy import POOL, SampledLRU
from gorego_tw.storage.records import Tally


class Entries:
    """Entries in memory, as the index would show them."""

    def __init__(self, *kinds: tuple[int, int]) -> None:
        random = Random(1)
        self.random = random
        self.last_used = {
            bytes([kind]) + random.randbytes(32): random.randrange(1_000_000)
            for kind, count in kinds
            for _ in range(count)
        }
        self.renewed: dict[bytes, int] = {}
        self.samples = 0
        self.pinned: set[bytes] = set()
        self.policy = self.new_policy(lambda key, _: key in self.pinned)

    def new_policy(self, pinned: Callable[[bytes, int], bool]) -> SampledLRU:
        return SampledLRU(
            tallies=self.tallies,
            neighbours=self.neighbours,
            latest=self.latest,
            pinned=pinned,
            random=self.random,
        )

    def tallies(self) -> dict[int, Tally]:
        kinds = [key[0] for key in self.last_used]
        return {kind: Tally(kinds.count(kind), 0) for kind in {*kinds, 9}}

    def neighbours(self, start: bytes, count: int) -> list[tuple[bytes, int]]:
        self.samples += count > 1
        keys = sorted(key for key in self.last_used if key[0] == start[0])
        first = bisect_left(keys, start)
        turned = keys[first:] + keys[:first]
        return [(key, self.last_used[key]) for key in turned[:count]]

    def latest(self, key: bytes, recorded: int) -> int:
        return self.renewed.get(key, recorded)

    def evict(self) -> tuple[bytes, int] | None:
        candidate = self.policy.oldest()
        if candidate is None:
            return None
        return candidate.key, self.last_used.pop(candidate.key)


class SampledLRUTests(SynchronousTestCase):
    def test_nothing(self) -> None:
        """Where there is nothing, nothing goes."""
        self.assertIsNone(Entries().evict())

    def test_everything(self) -> None:
        """Everything there is can go, each once."""
        entries = Entries((1, 30), (0, 5), (9, 1))
        keys = set(entries.last_used)
        self.assertEqual({(entries.evict() or (b"", 0))[0] for _ in range(36)}, keys)
        self.assertIsNone(entries.evict())

    def test_old_ones_go(self) -> None:
        """Of those that go, nine of ten are in the oldest fifth, of each kind."""
        entries = Entries((1, 500), (0, 500))
        limit = sorted(entries.last_used.values())[200]
        gone = [entries.evict() for _ in range(100)]
        old = [entry for entry in gone if entry and entry[1] <= limit]
        self.assertGreaterEqual(len(old), 90)
        self.assertEqual({entry[0][0] for entry in old}, {0, 1})

    def test_kinds_in_proportion(self) -> None:
        """A kind with few entries is not emptied for one with many."""
        entries = Entries((1, 900), (9, 100))
        gone = [entries.evict() for _ in range(200)]
        rare = sum(entry is not None and entry[0][0] == 9 for entry in gone)
        self.assertTrue(5 <= rare <= 45, rare)

    def test_used_since(self) -> None:
        """What was used since it was seen does not go."""
        entries = Entries((1, 100))
        entries.evict()
        old = sorted(entries.last_used, key=lambda key: entries.last_used[key])[:50]
        entries.renewed = dict.fromkeys(old, 2_000_000)
        gone = {(entries.evict() or (b"", 0))[0] for _ in range(40)}
        self.assertEqual(gone & set(old), set())

    def test_gone_since(self) -> None:
        """What went another way since it was seen is not offered."""
        entries = Entries((1, 100))
        entries.evict()
        kept = dict(list(entries.last_used.items())[:10])
        entries.last_used = dict(kept)
        gone = {(entries.evict() or (b"", 0))[0] for _ in range(10)}
        self.assertEqual(gone, set(kept))

    def test_pinned(self) -> None:
        """What is pinned stays, however old it is, and the search ends when nothing else is left."""
        entries = Entries((1, 60), (0, 40))
        old = sorted(entries.last_used, key=lambda key: entries.last_used[key])
        entries.pinned.update(old[:90])
        self.assertEqual({(entries.evict() or (b"", 0))[0] for _ in range(10)}, set(old[90:]))
        self.assertIsNone(entries.evict())
        entries.pinned.clear()
        self.assertIsNotNone(entries.evict())

    def test_old_ones_go_among_pinned(self) -> None:
        """Where half is pinned, and the older half, those that go are old among the others."""
        entries = Entries((1, 1000))
        old = sorted(entries.last_used, key=lambda key: entries.last_used[key])
        entries.pinned.update(old[:500])
        gone = [(entries.evict() or (b"", 0))[0] for _ in range(50)]
        self.assertGreaterEqual(len(set(gone) & set(old[500:600])), 45)

    def test_pinned_since(self) -> None:
        """What was pinned after it was seen does not go."""
        entries = Entries((1, 100))
        entries.evict()
        old = sorted(entries.last_used, key=lambda key: entries.last_used[key])[:50]
        entries.pinned.update(old)
        gone = {(entries.evict() or (b"", 0))[0] for _ in range(40)}
        self.assertEqual(gone & set(old), set())

    def test_none_of_the_older_ones_is_passed_over(self) -> None:
        """What is older than all that are remembered is remembered, however many those are."""
        entries = Entries((1, 2000))
        for _ in range(200):
            entries.policy.look()
        entries.policy.samples_ahead = 0
        oldest = sorted(entries.last_used, key=lambda key: entries.last_used[key])[:POOL]
        gone = {(entries.evict() or (b"", 0))[0] for _ in range(POOL // 2)}
        self.assertGreaterEqual(len(gone & set(oldest)), POOL // 2 - 1)


class WalkTests(SynchronousTestCase):
    def test_all(self) -> None:
        """Each entry of each kind is looked at once, a sample at each step."""
        entries = Entries((0, 70), (1, 300), (6, 32), (9, 1))
        looked: list[bytes] = []

        def look(key: bytes, _: int) -> bool:
            looked.append(key)
            return False

        steps = list(entries.new_policy(look).walk())
        self.assertEqual(sorted(looked), sorted(entries.last_used))
        self.assertEqual(steps.count(True), 3 + 10 + 1 + 1)

    def test_what_is_found_goes(self) -> None:
        """The one entry that may go among many is found, and goes next; then none is found."""
        entries = Entries((0, 500), (1, 3000))
        one = max(entries.last_used, key=lambda key: entries.last_used[key])
        entries.pinned.update(entries.last_used.keys() - {one})
        self.assertIn(True, entries.policy.walk())
        self.assertEqual((entries.evict() or (b"",))[0], one)
        self.assertNotIn(True, entries.policy.walk())
        self.assertIsNone(entries.evict())

    def test_nothing(self) -> None:
        """Where there is nothing there is nothing to look at."""
        self.assertEqual(list(Entries().policy.walk()), [False])


class LookAheadTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Look ahead, a few times."""
        self.entries = Entries((1, 2000))
        for _ in range(8):
            self.assertTrue(self.entries.policy.look())

    def test_one_choice_each(self) -> None:
        """A sample is taken for each choice, be it before or at the choice."""
        samples = []
        for _ in range(10):
            self.assertIsNotNone(self.entries.evict())
            samples.append(self.entries.samples)
        self.assertEqual(samples, [8] * 8 + [9, 10])

    def test_the_oldest_of_all(self) -> None:
        """Those that go are the oldest of what all of the samples have shown."""
        gone = [(self.entries.evict() or (b"", 0))[1] for _ in range(8)]
        self.assertEqual(gone, sorted(gone))
        self.assertLess(gone[-1], 1_000_000 // 10)

    def test_nothing_left_of_them(self) -> None:
        """Where nothing that was seen may go any more, the search goes on at once."""
        self.entries.pinned.update(self.entries.last_used)
        new = Entries((0, 2000)).last_used
        self.entries.last_used.update(new)
        found = self.entries.evict()
        assert found is not None
        self.assertIn(found[0], new)
        self.assertEqual(self.entries.policy.samples_ahead, 0)

    def test_nothing(self) -> None:
        """Where there is nothing to look at, that is said."""
        self.assertFalse(Entries().policy.look())
