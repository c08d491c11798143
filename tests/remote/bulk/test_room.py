"""Tests of gorego_tw.remote.bulk.room."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.remote.bulk.room import OWN_BYTES, Room


class RoomTests(SynchronousTestCase):
    def test_own(self) -> None:
        """As long as nobody gives memory it is the same one again and again."""
        room = Room()
        memory = room()
        self.assertEqual(len(memory), OWN_BYTES)
        self.assertIs(room(), memory)

    def test_given(self) -> None:
        """Whoever gives memory is asked for each piece."""
        given = [memoryview(bytearray(n)) for n in (2, 1)]
        room = Room()
        room.take_from(given.pop)
        self.assertEqual([len(room()), len(room())], [1, 2])
