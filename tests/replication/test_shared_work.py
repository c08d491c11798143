"""Tests of gorego_tw.replication.shared_work."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import PermissionDenied, Unavailable
from gorego_tw.forwarding import Metadata, forwarded
from gorego_tw.replication.shared_work import SharedWork
from tests.calls import carrying


class SharedWorkTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.begun: list[tuple[str, Deferred[int]]] = []
        self.seen: list[Metadata] = []
        self.shared: SharedWork[str, int] = SharedWork(self.work)

    async def work(self, key: str) -> int:
        """Ends when the test says so."""
        self.seen.append(forwarded())
        end: Deferred[int] = Deferred()
        self.begun.append((key, end))
        return await end

    def end(self, result: int | Exception) -> None:
        """End the work that was begun last."""
        _, end = self.begun[-1]
        if isinstance(result, Exception):
            end.errback(result)
        else:
            end.callback(result)

    def test_once(self) -> None:
        """All who ask at the same time get what one piece of work gave."""
        waiting = [self.shared("a") for _ in range(3)]
        self.assertEqual([key for key, _ in self.begun], ["a"])
        self.end(7)
        self.assertEqual([self.successResultOf(waiter) for waiter in waiting], [7, 7, 7])
        self.assertEqual((self.shared.joined, len(self.shared)), (2, 0))

    def test_keys(self) -> None:
        """Work for another key is other work."""
        self.shared("a")
        self.shared("b")
        self.assertEqual([key for key, _ in self.begun], ["a", "b"])
        self.assertEqual(len(self.shared), 2)

    def test_failure(self) -> None:
        """A failure goes to all who wait, and to nobody who asks later, even because of it."""
        again: list[Deferred[int]] = []
        waiting = [self.shared("a"), self.shared("a")]
        waiting[0].addErrback(lambda _: again.append(self.shared("a")))
        self.end(Unavailable("down"))
        self.failureResultOf(waiting[1], Unavailable)
        self.end(5)
        self.assertEqual(self.successResultOf(again[0]), 5)

    def test_told_together(self) -> None:
        """Who makes others leave when it is told of the end keeps nobody else from it."""
        first, second, third = (self.shared("a") for _ in range(3))
        first.addErrback(lambda _: second.cancel())
        self.end(ValueError("unforeseen"))
        self.failureResultOf(second, CancelledError)
        self.failureResultOf(third, ValueError)

    def test_forgotten(self) -> None:
        """Who asks after the work was forgotten has it done anew; who waits for it goes on to, and close ends
        both.
        """
        before = self.shared("a")
        self.shared.forget("a")
        after, beside = self.shared("a"), self.shared("a")
        self.assertEqual(len(self.begun), 2)
        self.begun[0][1].callback(1)
        self.assertEqual(self.successResultOf(before), 1)
        self.assertNoResult(after)
        self.shared.forget("a")
        again = self.shared("a")
        self.shared.close()
        for waiter in (after, beside, again):
            self.failureResultOf(waiter, CancelledError)

    def test_refused(self) -> None:
        """A refusal goes to those whose rights it is about; others have it done anew with theirs, together."""
        bad, good = carrying(("authorization", "bad")), carrying(("authorization", "good"))
        first, same = bad.run(self.shared, "a"), bad.run(self.shared, "a")
        others = [good.run(self.shared, "a") for _ in range(2)]
        self.end(PermissionDenied("not you"))
        for waiter in (first, same):
            self.failureResultOf(waiter, PermissionDenied)
        self.assertEqual(self.seen, [(("authorization", "bad"),), (("authorization", "good"),)])
        self.end(5)
        self.assertEqual([self.successResultOf(waiter) for waiter in others], [5, 5])
        self.assertEqual(len(self.shared), 0)

    def test_other_failures(self) -> None:
        """What is no refusal is everybody's, and who asks for whom is no right."""
        for name, values, failure in (
            ("authorization", ("one", "two"), Unavailable("down")),
            ("x.requestmetadata-bin", (b"1", b"2"), PermissionDenied("not you")),
        ):
            self.begun.clear()
            waiting = [carrying((name, value)).run(self.shared, name) for value in values]
            self.end(failure)
            for waiter in waiting:
                self.failureResultOf(waiter, type(failure))
            self.assertEqual(len(self.begun), 1)

    def test_refused_and_gone(self) -> None:
        """Who left does not have it done anew."""
        first = carrying(("authorization", "bad")).run(self.shared, "a")
        other = self.shared("a")
        other.cancel()
        self.failureResultOf(other, CancelledError)
        self.end(PermissionDenied("not you"))
        self.failureResultOf(first, PermissionDenied)
        self.assertEqual(len(self.begun), 1)

    def test_leaving(self) -> None:
        """Who leaves ends its own waiting alone; the work goes on without anybody, too."""
        first, second = self.shared("a"), self.shared("a")
        first.cancel()
        self.failureResultOf(first, CancelledError)
        second.cancel()
        self.failureResultOf(second, CancelledError)
        third = self.shared("a")
        self.end(1)
        self.assertEqual(self.successResultOf(third), 1)
        self.assertEqual(len(self.begun), 1)

    def test_at_once(self) -> None:
        """Work that does not wait has ended when the call returns."""

        async def quick(key: str) -> int:
            return await succeed(len(key))

        self.assertEqual(self.successResultOf(SharedWork(quick)("abc")), 3)

    def test_close(self) -> None:
        """What is under way is broken off, and who waits is told."""
        waiting = [self.shared("a"), self.shared("b")]
        self.shared.close()
        for waiter in waiting:
            self.failureResultOf(waiter, CancelledError)
        self.assertEqual(len(self.shared), 0)
        self.shared.close()

    def test_metadata(self) -> None:
        """It carries the metadata of the call that began it, whoever joined."""
        for name in ("first", "second"):
            carrying(("name", name)).run(self.shared, "a")
        self.assertEqual(self.seen, [(("name", "first"),)])
