"""Tests of gorego_tw.waiting_line."""

from __future__ import annotations

from time import process_time

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.waiting_line import WIDTH, WaitingLine


class WaitingLineTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.line = WaitingLine(self.clock)
        self.called: list[int] = []

    def join(self, count: int) -> list[Deferred[None]]:
        """So many join the line, and tell when they are called."""
        waiters = [self.line.join() for _ in range(count)]
        for number, waiter in enumerate(waiters):
            waiter.addCallback(self._note, number)
        return waiters

    def _note(self, _: None, number: int) -> None:
        self.called.append(number)

    def test_few(self) -> None:
        """A few are called at once, in their order."""
        self.join(3)
        self.line.call()
        self.assertEqual(self.called, [0, 1, 2])
        self.assertEqual(len(self.line), 0)

    def test_many(self) -> None:
        """Of many, WIDTH are called in each turn of the reactor."""
        self.join(2 * WIDTH + 1)
        self.line.call()
        counts = []
        while self.clock.calls:
            counts.append(len(self.called))
            self.clock.calls.pop(0).func()  # advance() would run what comes up meanwhile, too
        self.assertEqual(counts, [WIDTH, 2 * WIDTH])
        self.assertEqual(len(self.called), 2 * WIDTH + 1)

    def test_later(self) -> None:
        """Who joins after the call is not called by it."""
        self.join(1)
        self.line.call()
        later = self.line.join()
        self.assertNoResult(later)
        self.line.call()
        self.successResultOf(later)

    def test_called_again(self) -> None:
        """A second call while the first goes on is for those who came meanwhile, too, and calls nobody early."""
        self.join(WIDTH + 1)
        self.line.call()
        later = self.line.join()
        self.line.call()
        self.assertEqual(len(self.called), WIDTH)
        self.clock.advance(0)
        self.assertEqual(len(self.called), WIDTH + 1)
        self.successResultOf(later)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_leaving(self) -> None:
        """Who leaves, called for or not, changes nothing for the others."""
        waiters = self.join(WIDTH + 3)
        self.line.call()
        later = [self.line.join(), self.line.join()]
        for waiter in (waiters[-1], later[0]):
            waiter.cancel()
            self.failureResultOf(waiter, CancelledError)
        self.clock.advance(0)
        self.assertEqual(self.called, list(range(WIDTH + 2)))
        self.assertNoResult(later[1])

    def test_leaving_because_of_another(self) -> None:
        """Who is called may make the others leave."""
        waiters = self.join(3)

        def leave(_: None) -> None:
            for waiter in waiters[1:]:
                waiter.cancel()
                self.failureResultOf(waiter, CancelledError)

        waiters[0].addCallback(leave)
        self.line.call()
        self.assertEqual(self.called, [0])
        self.assertEqual(len(self.line), 0)

    def test_not_going_on(self) -> None:
        """Who is not to go on stays in the line, before those who come later."""
        line = WaitingLine(self.clock, lambda: len(self.called) < most)
        for number in range(5):
            line.join().addCallback(self._note, number)
        for most in (0, 2, 2, 4):
            line.call()
            self.assertEqual(len(self.called), most)
        line.join().addCallback(self._note, 5)
        most = 9
        line.call()
        self.assertEqual(self.called, list(range(6)))

    def test_many_leave(self) -> None:
        """To leave takes as long in a long line as in a short one."""
        waiters = self.join(20_000)
        began = process_time()
        for waiter in reversed(waiters):
            waiter.cancel()
            waiter.addErrback(lambda reason: reason.trap(CancelledError))
        self.assertLess(process_time() - began, 1)  # with a search for each it takes 3
        self.assertEqual(len(self.line), 0)
