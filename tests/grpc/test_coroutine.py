"""Tests of gorego_tw.grpc.coroutine."""

from __future__ import annotations

from contextvars import ContextVar, copy_context
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.grpc.coroutine import Driver

_current: ContextVar[str] = ContextVar("_current", default="outside")


class DriverTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.ends: list[tuple[Any, Exception | None]] = []

    def drive(self, coroutine: Any) -> Driver:
        driver = Driver(
            coroutine, lambda value, error: self.ends.append((value, error)), copy_context()
        )
        driver.start()
        return driver

    def test_at_once(self) -> None:
        """A coroutine that never waits has ended when start returns."""

        async def answer() -> int:
            return 3 + await succeed(4)

        self.drive(answer())
        self.assertEqual(self.ends, [(7, None)])

    def test_waits(self) -> None:
        """A coroutine that waits ends when what it waits for has come."""
        waited: Deferred[str] = Deferred()

        async def answer() -> str:
            return await waited + "!"

        self.drive(answer())
        self.assertEqual(self.ends, [])
        waited.callback("late")
        self.assertEqual(self.ends, [("late!", None)])

    def test_raises(self) -> None:
        """What a coroutine raises is told, whether it waited or not."""
        failing: Deferred[None] = Deferred()

        async def answer() -> None:
            await failing

        self.drive(answer())
        error = ValueError("no")
        failing.errback(error)
        self.assertEqual(self.ends, [(None, error)])

    def test_cancel(self) -> None:
        """Cancelling raises CancelledError where the coroutine waits, and its clean-up runs."""
        cleaned = []

        async def answer() -> None:
            try:
                await Deferred()
            finally:
                cleaned.append(True)

        self.drive(answer()).cancel()
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

        self.drive(answer("a"))
        self.drive(answer("b"))
        self.assertEqual(_current.get(), "outside")
        waits[1].callback(None)
        waits[0].callback(None)
        self.assertEqual(seen, ["b", "outside", "a", "outside"])
        self.assertEqual(self.ends, [(None, None), (None, None)])
