"""What a run has seen: how much of everything, and what was wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from threading import Lock

WRONG_BYTES = "wrong bytes"
LOST = "acknowledged blobs lost"
LOST_RESULTS = "acknowledged action results lost"
OTHER_RESULTS = "action results nobody wrote"
INCOMPLETE = "action results incomplete"
SHRUNK = "uploads with less than was told"
UNEXPECTED = "unexpected answers"
NOT_UPSTREAM = "acknowledged and never upstream"
UNCLEAN = "ends and starts that went wrong"

#: What must never be. The others are counted to show that something was looked at.
FAULTS = (
    WRONG_BYTES,
    LOST,
    LOST_RESULTS,
    OTHER_RESULTS,
    INCOMPLETE,
    SHRUNK,
    NOT_UPSTREAM,
    UNEXPECTED,
    UNCLEAN,
)

#: How many faults are told one by one, of each kind.
_TOLD = 20

#: How much of a fault is told, in characters: the end of a log, at most.
_TOLD_CHARACTERS = 10_000


class Findings:
    """Counts that any thread may add to."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = Lock()

    def count(self, what: str, times: int = 1) -> None:
        """So much more of it was seen."""
        with self._lock:
            self._counts[what] += times

    def fault(self, kind: str, about: object) -> None:
        """Something is as it must never be, and is told at once.

        :param kind: one of FAULTS.
        """
        self.count(kind)
        if self[kind] <= _TOLD:
            print(f"FAULT {kind}: {str(about)[:_TOLD_CHARACTERS]}", flush=True)

    def __getitem__(self, what: str) -> int:
        return self._counts[what]

    @property
    def faults(self) -> int:
        """How much was wrong."""
        return sum(self[kind] for kind in FAULTS)

    def lines(self) -> Iterator[str]:
        """All counts, those that have to be 0 at the end."""
        for what in sorted(set(self._counts) - set(FAULTS)):
            yield f"{what:<36} {self[what]:>9}"
        for what in FAULTS:
            yield f"{what:<36} {self[what]:>9}"
