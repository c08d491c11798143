"""A backing cache that takes a question and says nothing."""

from __future__ import annotations

from gorego_tw.errors import Unavailable

#: The longest that is waited for an answer of one message, in seconds, whatever timeout_seconds
#: says. Bazel gives a call of its own up after 60 s: who waits as long for the backing cache is
#: gone before the failure is counted, and the circuit breaker never opens.
MOST_SECONDS = 30.0


class NoAnswer(Unavailable):
    """The peer said nothing in time. It has had all the time there is, so it is not asked again."""


def no_answer(seconds: float) -> NoAnswer:
    """That failure, after so many seconds."""
    return NoAnswer(f"backing cache: deadline exceeded after {seconds:g} s")
