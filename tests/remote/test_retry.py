"""Tests of gorego_tw.remote.retry."""

from __future__ import annotations

from random import Random

from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import (
    Aborted,
    Internal,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    StatusError,
    Unavailable,
)
from gorego_tw.remote.breaker import CircuitOpen
from gorego_tw.remote.no_answer import no_answer
from gorego_tw.remote.retry import (
    FIRST_SECONDS,
    MOST_ASKED_SECONDS,
    MOST_SECONDS,
    Backoff,
    Retrying,
    is_retryable,
)

DOWN = Unavailable("backing cache: down")


def asking(seconds: int) -> ResourceExhausted:
    """A failure that says when to come back."""
    return ResourceExhausted("busy", RetryInfo(retry_delay=Duration(seconds=seconds)))


class IsRetryableTests(SynchronousTestCase):
    def test_what_may_pass(self) -> None:
        """A peer that could not answer is asked again."""
        for error in (DOWN, Aborted("x"), Internal("x"), StatusError("x"), asking(1)):
            self.assertTrue(is_retryable(error), error)

    def test_what_will_not(self) -> None:
        """An answer is not asked for again, nor a peer that is left alone, nor one that is full."""
        for error in (
            NotFound("x"),
            InvalidArgument("x"),
            CircuitOpen("x"),
            ResourceExhausted("full"),
        ):
            self.assertFalse(is_retryable(error), error)


class BackoffTests(SynchronousTestCase):
    def test_doubles(self) -> None:
        """Each wait is anything from nothing to twice the most of the one before, up to a limit."""
        samples = [Backoff(10, Random(seed)) for seed in range(200)]
        most = FIRST_SECONDS
        for _ in range(10):
            waits = [backoff.after(DOWN) or 0.0 for backoff in samples]
            self.assertLess(max(waits), most)
            self.assertGreater(max(waits), most * 0.9)
            self.assertLess(min(waits), most * 0.1)
            most = min(2 * most, MOST_SECONDS)

    def test_spent(self) -> None:
        """After so many new tries it is given up."""
        backoff = Backoff(1, Random(1))
        self.assertIsNotNone(backoff.after(DOWN))
        self.assertIsNone(backoff.after(DOWN))

    def test_progress(self) -> None:
        """Progress makes it begin anew."""
        backoff = Backoff(1, Random(1))
        backoff.after(DOWN)
        backoff.reset()
        self.assertLess(backoff.after(DOWN) or 9, FIRST_SECONDS)

    def test_asked(self) -> None:
        """It waits at least as long as the peer asks, within reason."""
        backoff = Backoff(2, Random(1))
        self.assertGreaterEqual(backoff.after(asking(3)) or 0, 3)
        self.assertLess(backoff.after(asking(3600)) or 0, MOST_ASKED_SECONDS + 1)

    def test_silence(self) -> None:
        """A peer that says nothing is asked again only after it had said something."""
        backoff = Backoff(9, Random(1))
        self.assertIsNone(backoff.after(no_answer(60)))
        backoff.reset()
        self.assertIsNotNone(backoff.after(no_answer(60)))
        self.assertIsNone(backoff.after(no_answer(60)))
        self.assertIsNotNone(backoff.after(DOWN))
        self.assertIsNone(backoff.after(no_answer(60)))


class RetryingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.retrying = Retrying(2, clock=self.clock, random=Random(1))
        self.failures: list[StatusError] = []
        self.attempts = 0

    async def attempt(self) -> str:
        """Fails as often as there are failures."""
        self.attempts += 1
        if self.failures:
            raise self.failures.pop(0)
        return "done"

    def run_it(self) -> Deferred[str]:
        """Run it, with time passing."""
        running = Deferred.fromCoroutine(self.retrying.run(self.attempt))
        self.clock.pump([0.1] * 10)
        return running

    def test_well(self) -> None:
        """What goes well is done once."""
        self.assertEqual(self.successResultOf(self.run_it()), "done")
        self.assertEqual((self.attempts, self.retrying.retried), (1, 0))

    def test_later(self) -> None:
        """What goes well at a later try went well."""
        self.failures = [DOWN, DOWN]
        self.assertEqual(self.successResultOf(self.run_it()), "done")
        self.assertEqual((self.attempts, self.retrying.retried), (3, 2))

    def test_given_up(self) -> None:
        """The last failure is the one that is told."""
        self.failures = [DOWN, DOWN, Unavailable("the last")]
        failure = self.failureResultOf(self.run_it(), Unavailable)
        self.assertEqual(failure.value.message, "the last")

    def test_answer(self) -> None:
        """An answer is taken at its word."""
        self.failures = [NotFound("none")]
        self.failureResultOf(self.run_it(), NotFound)
        self.assertEqual(self.attempts, 1)

    def test_silence(self) -> None:
        """A peer that says nothing in time was given all the time there is."""
        self.failures = [no_answer(60)]
        self.failureResultOf(self.run_it(), Unavailable)
        self.assertEqual((self.attempts, self.retrying.retried), (1, 0))

    def test_cancel(self) -> None:
        """Who leaves during the wait leaves nothing behind."""
        self.failures = [DOWN]
        running = Deferred.fromCoroutine(self.retrying.run(self.attempt))
        running.cancel()
        self.failureResultOf(running, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
