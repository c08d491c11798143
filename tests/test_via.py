"""Tests of gorego_tw.via."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.forwarding import VIA
from gorego_tw.via import Station


class StationTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.first, self.second = Station("first:1", "a"), Station("second:1", "b")

    def test_left(self) -> None:
        """Each daemon adds itself to those before it, and leaves other metadata as it is."""
        once = self.first.left((("other", "value"),))
        self.assertEqual(once, (("other", "value"), (VIA, "first:1#a")))
        self.assertEqual(self.second.left(once)[1:], ((VIA, "first:1#a, second:1#b"),))

    def test_ring(self) -> None:
        """A ring begins and ends with who has met the call before; who came before that is no part of it."""
        via = "client:1#c, first:1#a, second:1#b"
        self.assertEqual(self.first.ring(via), "first:1 -> second:1 -> first:1")
        self.assertEqual(self.second.ring(via), "second:1 -> second:1")

    def test_no_ring(self) -> None:
        """Another daemon of the same name is another one, and so is whatever a client makes up."""
        for via in ("", "first:1", "first:1#b", "first:1#a,second:1#b", "xfirst:1#a"):
            self.assertIsNone(self.first.ring(via))

    def test_names(self) -> None:
        """A name is made one that metadata can have, and that ends where it ends."""
        self.assertEqual(Station("a b,c#d\u00e4\n", "1").mark, "a_b_c_d__#1")
