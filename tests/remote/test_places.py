"""Tests of gorego_tw.remote.places."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import Unavailable
from gorego_tw.remote.places import MOST_WAITING, Places


class PlacesTests(SynchronousTestCase):
    def test_in_turn(self) -> None:
        """Who comes when all are taken waits, and they go to who waits longest."""
        places = Places(1)
        self.successResultOf(places.take())
        first, second = places.take(), places.take()
        self.assertEqual((places.taken, places.waiting), (1, 2))
        places.release()
        self.successResultOf(first)
        self.assertNoResult(second)
        places.release()
        self.successResultOf(second)
        places.release()
        self.assertEqual((places.taken, places.waiting), (0, 0))

    def test_of_no_use(self) -> None:
        """However many give theirs back at once when they get it, everybody has a turn, and in order."""
        places = Places(1)
        self.successResultOf(places.take())
        turns = [places.take() for _ in range(2000)]
        order: list[int] = []

        def give_back(_: None, number: int) -> None:
            order.append(number)
            places.release()

        for number, turn in enumerate(turns):
            turn.addCallback(give_back, number)
        places.release()
        self.assertEqual(order, list(range(2000)))
        self.assertEqual((places.taken, places.waiting), (0, 0))

    def test_leaving(self) -> None:
        """Who leaves the line gets no place."""
        places = Places(1)
        self.successResultOf(places.take())
        first, second = places.take(), places.take()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        places.release()
        self.successResultOf(second)

    def test_admit_all(self) -> None:
        """All who wait get one when it is of no use any more, but those that left because of that."""
        places = Places(1)
        self.successResultOf(places.take())
        first, second, third = (places.take() for _ in range(3))
        first.addCallback(lambda _: second.cancel())
        places.admit_all()
        self.successResultOf(first)
        self.failureResultOf(second, CancelledError)
        self.successResultOf(third)
        self.assertEqual((places.taken, places.waiting), (3, 0))

    def test_too_many(self) -> None:
        """No more wait than there is memory for."""
        places = Places(0)
        waiting = [places.take() for _ in range(MOST_WAITING)]
        error = self.failureResultOf(places.take(), Unavailable).value
        self.assertIn(f"{MOST_WAITING} calls wait", error.message)
        self.assertNoResult(waiting[0])

    def test_closed(self) -> None:
        """Nobody waits for what is closed, and nobody gets a place there."""
        places = Places(1)
        self.successResultOf(places.take())
        waiting = places.take()
        places.close()
        self.failureResultOf(waiting, Unavailable)
        self.failureResultOf(places.take(), Unavailable)
        places.release()
        self.assertEqual(places.taken, 0)
