"""What the daemon has acknowledged, and what it may have taken without a word."""

from __future__ import annotations

from itertools import count
from random import Random
from threading import Lock
from typing import NamedTuple

from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi


class Interrupted(NamedTuple):
    """An upload that was broken off. ``told`` is how many bytes the daemon said that it holds."""

    resource_name: str
    number: int
    told: int


class Versions:
    """What an action result may be.

    :ivar possible: the last one acknowledged, and those sent since without an answer.
    :ivar acknowledged: whether one was.
    """

    def __init__(self) -> None:
        self.possible: list[reapi.ActionResult] = []
        self.acknowledged = False


class Ledger:
    """Kept by the clients of one folder; any thread may ask and add."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._numbers = count(1)
        self._begun: dict[int, reapi.Digest] = {}
        self._acknowledged: dict[int, reapi.Digest] = {}
        self._kept: list[int] = []
        self._interrupted: list[Interrupted] = []
        self._results: dict[int, Versions] = {}
        self._sent: dict[int, list[reapi.ActionResult]] = {}
        self.acknowledged_bytes = 0

    def new_number(self) -> int:
        """The number of a blob that was never sent."""
        with self._lock:
            return next(self._numbers)

    def begin(self, number: int, digest: reapi.Digest) -> None:
        """The blob is about to be sent."""
        with self._lock:
            self._begun[number] = digest

    def acknowledge(self, number: int) -> None:
        """The blob is stored, says the daemon."""
        with self._lock:
            if number not in self._acknowledged:
                self._acknowledged[number] = self._begun[number]
                self._kept.append(number)
                self.acknowledged_bytes += self._begun[number].size_bytes

    def forget(self, number: int) -> None:
        """The blob was evicted, which is nobody's fault."""
        with self._lock:
            if self._acknowledged.pop(number, None) is not None:
                self._kept.remove(number)

    def acknowledged(self) -> dict[int, reapi.Digest]:
        """All blobs that are stored."""
        with self._lock:
            return dict(self._acknowledged)

    def uncertain(self) -> dict[int, reapi.Digest]:
        """All blobs that may be stored, since they were begun."""
        with self._lock:
            return {n: d for n, d in self._begun.items() if n not in self._acknowledged}

    def some(self, random: Random, most: int) -> list[tuple[int, reapi.Digest]]:
        """Up to so many of the blobs that are stored."""
        with self._lock:
            chosen = random.choices(self._kept, k=most) if self._kept else []
            return [(number, self._acknowledged[number]) for number in dict.fromkeys(chosen)]

    def interrupt(self, upload: Interrupted) -> None:
        """The upload can be gone on with."""
        with self._lock:
            self._interrupted.append(upload)

    def take_interrupted(self, random: Random) -> Interrupted | None:
        """An upload to go on with, if there is one; no other client gets it."""
        with self._lock:
            if not self._interrupted:
                return None
            return self._interrupted.pop(random.randrange(len(self._interrupted)))

    def send_result(self, action: int, result: reapi.ActionResult) -> None:
        """The action result is about to be sent; each action has one client that sends."""
        with self._lock:
            self._results.setdefault(action, Versions()).possible.append(result)
            self._sent.setdefault(action, []).append(result)

    def acknowledge_result(self, action: int, result: reapi.ActionResult) -> None:
        """The action result is stored, in place of any other."""
        with self._lock:
            versions = self._results[action]
            versions.possible = [result]
            versions.acknowledged = True

    def forget_result(self, action: int) -> None:
        """The action result was evicted, or its blobs were."""
        with self._lock:
            self._results[action].acknowledged = False

    def results(self) -> dict[int, Versions]:
        """What each action result may be now."""
        with self._lock:
            return dict(self._results)

    def was_sent(self, action: int, result: reapi.ActionResult) -> bool:
        """Whether that was ever its result."""
        with self._lock:
            return result in self._sent.get(action, ())
