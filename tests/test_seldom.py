"""What is done now and then."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.seldom import Seldom


class SeldomTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()

    def test_again(self) -> None:
        """It is due when so much time has passed since it was done, and not again before it is done."""
        seldom = Seldom(10, self.clock, at_once=True)
        self.assertTrue(seldom.due)
        seldom.done()
        self.clock.advance(9)
        self.assertFalse(seldom.due)
        self.clock.advance(1)
        self.assertTrue(seldom.due)

    def test_not_at_once(self) -> None:
        """For the first time it may be due then, too."""
        seldom = Seldom(10, self.clock, at_once=False)
        self.assertFalse(seldom.due)
        self.clock.advance(10)
        self.assertTrue(seldom.due)

    def test_clock_goes_back(self) -> None:
        """A clock that was set back keeps nothing from being done."""
        self.clock.advance(1000)
        seldom = Seldom(10, self.clock, at_once=False)
        self.clock.rightNow = 5.0
        self.assertTrue(seldom.due)
