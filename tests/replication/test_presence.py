"""Tests of gorego_tw.replication.presence."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.digest import DigestFunction, digest_of
from gorego_tw.replication.presence import Presence

A, B, C = (digest_of(name, DigestFunction.SHA256) for name in (b"a", b"b", b"c"))


class PresenceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.presence = Presence(clock=self.clock, seconds=60, entries=2)

    def test_unknown(self) -> None:
        """What was not there or not asked for is unknown, in its order and once."""
        self.presence.add([B])
        self.assertEqual(self.presence.unknown([C, B, A, C]), [C, A])
        self.assertIn(B, self.presence)
        self.assertNotIn(A, self.presence)

    def test_another_size(self) -> None:
        """The same hash with another size is another blob."""
        self.presence.add([A])
        self.assertNotIn(A._replace(size_bytes=7), self.presence)

    def test_limited_time(self) -> None:
        """It is believed for the time given, counted from when it was last seen."""
        self.presence.add([A])
        self.clock.advance(59)
        self.assertIn(A, self.presence)
        self.presence.add([A])
        self.clock.advance(59)
        self.assertEqual(self.presence.unknown([A]), [])
        self.clock.advance(1)
        self.assertNotIn(A, self.presence)
        self.assertEqual(self.presence.unknown([A]), [A])

    def test_bounded(self) -> None:
        """The one that was seen longest ago makes room."""
        self.presence.add([A])
        self.presence.add([B])
        self.presence.add([A])
        self.presence.add([C])
        self.assertEqual(self.presence.unknown([A, B, C]), [B])
        self.assertEqual(len(self.presence), 2)

    def test_forget(self) -> None:
        """What turned out to be absent is unknown again; what was unknown may be named too."""
        self.presence.add([A])
        self.presence.forget([A, B])
        self.assertEqual(len(self.presence), 0)
