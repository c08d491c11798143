"""Tests of gorego_tw.grpc.coroutine."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.grpc.coroutine import Driver, drive

_current: ContextVar[str] = ContextVar("_current", default="outside")


class DriverTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.ends: list[tuple[Any, Exception | None]] = []

    def drive(self, make: Callable[..., Any], *args: object) -> Driver | None:
        """Run the coroutine until it ends or waits."""
        return drive(lambda value, error: self.ends.append((value, error)), make, *args)

    def test_at_once(self) -> None:
        """A coroutine that never waits has ended when drive returns."""

        async def answer() -> int:
            return 3 + await succeed(4)

        self.assertIsNone(self.drive(answer))
        self.assertEqual(self.ends, [(7, None)])

    def test_waits(self) -> None:
        """A coroutine that waits ends when what it waits for has come."""
        waited: Deferred[str] = Deferred()

        async def answer() -> str:
            return await waited + "!"

        self.drive(answer)
        self.assertEqual(self.ends, [])
        waited.callback("late")
        self.assertEqual(self.ends, [("late!", None)])

    def test_raises(self) -> None:
        """What a coroutine raises is told, whether it waited or not."""
        failing: Deferred[None] = Deferred()

        async def answer() -> None:
            await failing

        self.drive(answer)
        error = ValueError("no")
        failing.errback(error)
        self.assertEqual(self.ends, [(None, error)])

    def test_raises_at_once(self) -> None:
        """So is what making the coroutine raises, and what its first step does."""
        error = ValueError("no")

        def make() -> Any:
            raise error

        async def answer() -> None:
            raise error

        self.assertIsNone(self.drive(make))
        self.assertIsNone(self.drive(answer))
        self.assertEqual(self.ends, [(None, error)] * 2)

    def test_cancel(self) -> None:
        """Cancelling raises CancelledError where the coroutine waits, and its clean-up runs."""
        cleaned = []

        async def answer() -> None:
            try:
                await Deferred()
            finally:
                cleaned.append(True)

        driver = self.drive(answer)
        assert driver is not None
        driver.cancel()
        self.assertEqual(cleaned, [True])
        self.assertIsInstance(self.ends[0][1], CancelledError)

    def test_context_is_its_own(self) -> None:
        """A variable set in the coroutine is seen after a wait, can be reset there, and nowhere else."""
        waits: list[Deferred[None]] = []
        seen = []

        async def answer(name: str) -> None:
            token = _current.set(name)
            waits.append(Deferred())
            await waits[-1]
            seen.append(_current.get())
            _current.reset(token)
            seen.append(_current.get())

        self.drive(answer, "a")
        self.drive(answer, "b")
        self.assertEqual(_current.get(), "outside")
        waits[1].callback(None)
        waits[0].callback(None)
        self.assertEqual(seen, ["b", "outside", "a", "outside"])
        self.assertEqual(self.ends, [(None, None), (None, None)])
