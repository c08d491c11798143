"""Times of use."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.storage.uses import Uses


def some_keys(count: int) -> list[bytes]:
    random = Random(7)
    return [bytes([random.choice((0, 1, 9))]) + random.randbytes(32) for _ in range(count)]


class UsesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.uses = Uses()

    def all_taken(self, count: int) -> list[tuple[bytes, int]]:
        taken: list[tuple[bytes, int]] = []
        while some := self.uses.take(count):
            self.assertLessEqual(len(some), count)
            taken += some
        return taken

    def test_in_order(self) -> None:
        """Uses come out in the order of their hashes, each once, whatever the steps are."""
        keys = some_keys(2000)
        for at, key in enumerate(keys):
            self.uses.note(key, at)
        self.assertEqual(self.uses.count, 2000)
        taken = self.all_taken(13)
        self.assertEqual(sorted(taken), sorted(zip(keys, range(2000), strict=True)))
        self.assertEqual([key[1] for key, _ in taken], sorted(key[1] for key in keys))
        for function in (0, 1, 9):
            those = [key for key, _ in taken if key[0] == function]
            self.assertEqual(those, sorted(those))
        self.assertEqual(self.uses.count, 0)

    def test_last_one_counts(self) -> None:
        """Of several uses of an entry the last is known, whether they came alone or with others."""
        first, second = some_keys(2)
        self.uses.note(first, 5)
        self.uses.note_all([first, second, first], 7)
        self.assertEqual((self.uses.count, self.uses.get(first), self.uses.get(second)), (2, 7, 7))
        self.uses.note(first, 9)
        self.assertEqual(dict(self.all_taken(10)), {first: 9, second: 7})

    def test_forgotten(self) -> None:
        """What is gone is not taken, also if others of its part were; what is not here may go, too."""
        keys = [b"\1\7" + bytes([number]) * 31 for number in range(6)]
        self.uses.note_all(keys[:5], 3)
        self.assertEqual(self.uses.take(2), [(keys[0], 3), (keys[1], 3)])
        for key in (keys[0], keys[3], keys[5]):
            self.uses.forget(key)
            self.assertIsNone(self.uses.get(key))
        self.assertEqual(self.uses.count, 2)
        self.assertEqual(self.all_taken(10), [(keys[2], 3), (keys[4], 3)])

    def test_some_forgotten(self) -> None:
        """As many are forgotten as is said, and all if that is more than there are."""
        self.uses.note_all(some_keys(100), 3)
        self.uses.forget_some(30)
        self.assertEqual(self.uses.count, 70)
        self.uses.forget_some(-1)
        self.assertEqual(self.uses.count, 70)
        self.uses.forget_some(1000)
        self.assertEqual((self.uses.count, self.uses.take(1)), (0, []))
