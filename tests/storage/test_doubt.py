"""What is to be found out about files."""

from __future__ import annotations

from gorego_tw.storage.doubt import ALWAYS, FOLDERS, NO_DOUBT, Doubt
from gorego_tw.storage.records import FILE, INLINE, BlobRecord
from tests.storage.tiers import TierTestCase


class DoubtTests(TierTestCase):
    def record(self, stamp: int, location: int = FILE) -> BlobRecord:
        return BlobRecord(0, location, 1, stamp)

    def test_covers(self) -> None:
        """It covers files of its time, and nothing in the index."""
        doubt = Doubt(10, 20, verify=True)
        covered = [stamp for stamp in range(30) if doubt.covers(self.record(stamp))]
        self.assertEqual(covered, list(range(10, 20)))
        self.assertFalse(doubt.covers(self.record(15, INLINE)))
        self.assertFalse(NO_DOUBT.covers(self.record(0)))
        self.assertTrue(Doubt(10, ALWAYS, verify=True).covers(self.record(1 << 62)))

    def test_may_be_lost(self) -> None:
        """Files may be gone from the folder that is compared next on, and none when all have been."""
        keys = [prefix + bytes(31) for prefix in FOLDERS]
        for position in (0, 7, 256, len(FOLDERS)):
            doubt = Doubt(10, 20, verify=True, position=position)
            self.assertEqual([key for key in keys if doubt.may_be_lost(key)], keys[position:])

    def test_joined(self) -> None:
        """Two doubts are one from the beginning of the first to the end of the last, all to do again."""
        both = Doubt(10, 20, verify=False, position=7).joined(30, 40)
        self.assertEqual(both, Doubt(10, 40, verify=False))
        self.assertEqual(NO_DOUBT.joined(30, 40), Doubt(30, 40, verify=True))

    def test_kept(self) -> None:
        """It is kept until it ends; what somebody has damaged is none."""
        environment = self.tier.environment
        self.assertIsNone(Doubt.read(environment))
        for doubt in (Doubt(1, ALWAYS, verify=True), Doubt(2, 3, verify=False, position=1279)):
            doubt.write(environment)
            self.assertEqual(Doubt.read(environment), doubt)
        environment.note_position(b"doubt", b"?")
        self.assertIsNone(Doubt.read(environment))
        doubt.end(environment)
        self.assertIsNone(environment.position(b"doubt"))
