"""Tests of gorego_tw.storage.block_sums."""

from __future__ import annotations

from hashlib import sha256
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.storage.block_sums import SUM_BYTES, SUMMED_BYTES, BlockSums, Summing, are_of
from tests.storage.tiers import blob

DATA = memoryview(blob(3 * SUMMED_BYTES + 1000)[1])


class BlockSumsTests(SynchronousTestCase):
    @given(st.lists(st.integers(0, len(DATA))))
    def test_any_pieces(self, cuts: list[int]) -> None:
        """In whatever pieces a file is taken in, each of its blocks has a checksum, and so has the rest."""
        sums = BlockSums()
        edges = [0, *sorted(cuts), len(DATA)]
        for start, end in pairwise(edges):
            sums.update(DATA[start:end])
        self.assertEqual(len(sums.digest()), 4 * SUM_BYTES)
        self.assertTrue(are_of(sums.digest(), DATA, 0))

    def test_part(self) -> None:
        """Whole blocks are compared where they are, and nowhere else; so is the end."""
        sums = BlockSums()
        sums.update(DATA)
        known = sums.digest()
        last = 3 * SUMMED_BYTES
        self.assertTrue(are_of(known, DATA[SUMMED_BYTES:last], SUMMED_BYTES))
        self.assertTrue(are_of(known, DATA[last:], last))
        self.assertFalse(are_of(known, DATA[SUMMED_BYTES:last], 0))
        self.assertFalse(are_of(known, DATA[last:], last + SUMMED_BYTES))
        self.assertFalse(are_of(known, DATA[last:-1], last))

    def test_other_bytes(self) -> None:
        """A bit that is another anywhere shows."""
        sums = BlockSums()
        sums.update(DATA)
        for position in (0, SUMMED_BYTES - 1, SUMMED_BYTES, len(DATA) - 1):
            other = bytearray(DATA)
            other[position] ^= 4
            self.assertFalse(are_of(sums.digest(), memoryview(other), 0))

    def test_while_it_is_taken_in(self) -> None:
        """The blocks that are whole are known before the rest has come."""
        sums = BlockSums()
        sums.update(DATA[: 2 * SUMMED_BYTES + 5])
        self.assertTrue(sums.are_of(DATA[: 2 * SUMMED_BYTES], 0))
        self.assertFalse(sums.are_of(DATA[2 * SUMMED_BYTES : 3 * SUMMED_BYTES], 2 * SUMMED_BYTES))

    def test_beside_a_hash(self) -> None:
        """Both are made of the same bytes."""
        summing = Summing(sha256())
        summing.update(DATA[:10])
        summing.update(DATA[10:])
        self.assertEqual(summing.digest(), sha256(DATA).digest())
        self.assertTrue(summing.sums.are_of(DATA[: 3 * SUMMED_BYTES], 0))
