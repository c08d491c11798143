"""A table of keys that outlives a kill."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.digest import DigestFunction
from gorego_tw.storage.key_slots import KeySlots
from tests.storage.tiers import blob, no_slots


class KeySlotsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.slots = self.open()
        self.slots.clear()

    def open(self, count: int = 3) -> KeySlots:
        slots = KeySlots(self.path, count)
        self.addCleanup(slots.close)
        return slots

    def test_left(self) -> None:
        """What was put in and not taken out is left, and not twice."""
        keys = [blob(1, 0, function)[0].key for function in DigestFunction][-3:]
        take_outs = [self.slots.put(key) for key in keys]
        take_outs[1]()
        after = self.open()
        self.assertEqual(sorted(after.left), sorted([keys[0], keys[2]]))
        after.clear()
        self.assertEqual(self.open().left, [])

    def test_full(self) -> None:
        """What there is no room for is not kept, and takes nobody's place out."""
        take_outs = [self.slots.put(bytes([number] * 33)) for number in range(1, 6)]
        self.assertEqual(len(self.open().left), 3)
        for take_out in take_outs[3:]:
            take_out()
        self.assertEqual(len(self.open().left), 3)
        take_outs[0]()
        self.slots.put(bytes([9] * 33))
        self.assertIn(bytes([9] * 33), self.open().left)

    def test_no_room(self) -> None:
        """Without a file nothing is kept, and nothing fails."""
        slots = no_slots()
        slots.clear()
        slots.put(b"key")()
        slots.close()
        self.assertEqual(slots.left, [])

    def test_closed(self) -> None:
        """What is taken out after the end stays in."""
        take_out = self.slots.put(b"key")
        self.slots.close()
        take_out()
        self.assertEqual(self.open().left, [b"key"])
