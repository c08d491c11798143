"""The last slow and failed requests, for who has no other place to look at."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Mapping
from time import time_ns
from typing import NamedTuple

from gorego_tw.telemetry.span import LocalRoot

#: What is slow, in seconds, and what is slower.
SLOW_SECONDS = (0.01, 0.1, 1.0, 10.0)

#: How many are kept of each: with up to 100 spans of 300 bytes each, a method takes 2 MB at most.
OF_EACH = 16

#: Methods that are kept apart; others share one name. Only what the daemon serves and does itself
#: has a name here, so there are never so many.
MOST_METHODS = 64

FAILED = "failed"


class KeptRequest(NamedTuple):
    """A request and when it was."""

    root: LocalRoot
    started_ns: int  # since the epoch


class Kept:
    """Keeps them by method and by how slow they were; each new one in place of the oldest of its kind."""

    def __init__(self) -> None:
        self._rings: dict[str, dict[str, deque[KeptRequest]]] = {}

    def add(self, root: LocalRoot, failed: bool) -> None:
        """Keep a request that has ended."""
        bucket = FAILED if failed else bucket_of(root.seconds)
        name = root.name if root.name in self._rings or len(self._rings) < MOST_METHODS else "other"
        ring = self._rings.setdefault(name, {}).setdefault(bucket, deque(maxlen=OF_EACH))
        ring.append(KeptRequest(root, time_ns() - round(root.seconds * 1e9)))

    def rings(self) -> Mapping[str, Mapping[str, deque[KeptRequest]]]:
        """By method, then by bucket; the oldest first."""
        return self._rings


def bucket_of(seconds: float) -> str:
    """How slow that is, as a lower bound; "" if it is not slow."""
    at = bisect_right(SLOW_SECONDS, seconds)
    return f">= {SLOW_SECONDS[at - 1]:g} s" if at else ""
