"""The estimate as a file: ``reuse.json`` in the folder of the cache, for who looks at the folder alone.

It is written every two minutes and at the end, whole, in place of the one before, so that counts and
sample belong together whenever the daemon is killed. It is one JSON object:

``version``
    1. With any other number nothing of the rest need be true.
``updated``
    When it was written, in seconds since the epoch.
``limit_bytes``
    The limit that it was made for. With another one, counting begins anew.
``limits``
    A list of objects, one for each limit of which something is estimated, the smallest first:
    ``limit`` (as a part of ``limit_bytes``: 0.5, 1.0, 1.5, 2.0), ``limit_bytes`` (that limit),
    ``action_result`` and ``blob`` (the hit ratio of lookups of action results and of blobs that there
    would be, from 0 to 1; null if there were no lookups).
``lookups``
    An object: ``action_result`` and ``blob``, how many lookups there were of each. Older ones count
    less: half after a week.
``misses``
    An object: ``action_result`` and ``blob``, each a list of how many of ``lookups`` would be misses,
    in the order of ``limits``.
``chance``
    The part of all small blobs that is in the sample.
``samples``
    How many entries are in the sample.
``stack``
    The sample, oldest first, each a list of the entry's key in the index (hexadecimal), its size and
    what it takes of the disk, in bytes. The next start goes on with it. Without it, as older versions
    leave the file after a kill, counting begins anew: what was evicted would be taken for what never
    was here, and a larger limit for of no use.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from gorego_tw.concurrency import Periodic
from gorego_tw.reuse.sketch import LIMITS, Counts, Sample, Sketch
from gorego_tw.storage.disk_threads import DiskThreads

VERSION = 1
FILE_NAME = "reuse.json"

#: How often it is written, in seconds: it has up to 700 kB, nearly all of which is the sample.
WRITE_SECONDS = 120.0

#: How many entries of the sample are made into text at once, and how long the thread rests then, in
#: seconds: it would keep the reactor waiting for 5 ms otherwise, and does so for 0.2.
_PIECE_ENTRIES = 256
_REST_SECONDS = 0.001


class ReuseReport(Periodic):
    """Keeps the file, and what is in it from one process to the next.

    :param sketch: what is told, empty yet.
    :param folder: of the cache.
    :param limit_bytes: that of the cache, in bytes.
    """

    def __init__(
        self,
        sketch: Sketch,
        folder: Path,
        limit_bytes: int,
        threads: DiskThreads,
        clock: IReactorTime,
    ) -> None:
        super().__init__("estimate of reuse", self.write, WRITE_SECONDS, clock)
        self._sketch = sketch
        self._path = folder / FILE_NAME
        self._limit_bytes = limit_bytes
        self._threads = threads
        self._time = clock
        self._aged_at = clock.seconds()

    def startService(self) -> None:
        """Go on where the last process has stopped."""
        self._restore()
        super().startService()

    def stopService(self) -> Deferred[object]:
        """Write it for the last time."""
        ended = super().stopService()
        return ended.addCallback(lambda _: Deferred.fromCoroutine(self._write_last()))

    async def write(self) -> None:
        """Write what there is to be known."""
        now = self._time.seconds()
        self._sketch.age(max(0.0, now - self._aged_at))
        self._aged_at = now
        await self._threads.run(_replace, self._path, self._report(), self._sketch.samples())

    async def _write_last(self) -> None:
        # A cache without its estimate is as good as any.
        with suppress(OSError):
            await self.write()

    def _report(self) -> dict[str, Any]:
        sketch = self._sketch
        kinds = {"action_result": sketch.actions, "blob": sketch.blobs}
        return {
            "version": VERSION,
            "updated": round(self._time.seconds(), 3),
            "limit_bytes": self._limit_bytes,
            "limits": [
                {"limit": limit, "limit_bytes": round(limit * self._limit_bytes)}
                | {kind: _rounded(counts, place) for kind, counts in kinds.items()}
                for place, limit in enumerate(LIMITS)
            ],
            "lookups": {kind: round(counts.lookups, 3) for kind, counts in kinds.items()},
            "misses": {
                kind: [round(misses, 3) for misses in counts.misses]
                for kind, counts in kinds.items()
            },
            "chance": sketch.chance,
            "samples": len(sketch),
        }

    def _restore(self) -> None:
        """Take what the last process knew; nothing of a file that is damaged or none of ours."""
        sketch = self._sketch
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
            report = json.loads(self._path.read_bytes())
            if report["version"] != VERSION:
                return
            stack = [
                (bytes.fromhex(key), Sample(int(size), int(taken)))
                for key, size, taken in report["stack"]
            ]
            chance = float(report["chance"])
            if not 0 < chance <= 1:
                return
            counted = [_counts(report, kind) for kind in ("action_result", "blob")]
            sketch.restore(chance, stack)
            if report["limit_bytes"] == self._limit_bytes:
                sketch.actions, sketch.blobs = counted
                sketch.age(max(0.0, self._time.seconds() - float(report["updated"])))


def _rounded(counts: Counts, place: int) -> float | None:
    ratios = counts.hit_ratios()
    return round(ratios[place], 4) if ratios else None


def _counts(report: dict[str, Any], kind: str) -> Counts:
    counts = Counts()
    counts.lookups = float(report["lookups"][kind])
    counts.misses = [float(misses) for misses in report["misses"][kind]]
    if len(counts.misses) != len(LIMITS):
        raise ValueError(kind)
    return counts


def _replace(path: Path, report: dict[str, Any], samples: list[tuple[bytes, Sample]]) -> None:
    """Write the file, so that there is always a whole one."""
    new = path.with_name(f"{path.name}.new")
    with new.open("w", encoding="ascii") as file:
        file.writelines(_pieces(report, samples))
    new.replace(path)


def _pieces(report: dict[str, Any], samples: list[tuple[bytes, Sample]]) -> Iterator[str]:
    """The text of the file."""
    yield json.dumps(report).removesuffix("}") + ', "stack": ['
    for start in range(0, len(samples), _PIECE_ENTRIES):
        entries = samples[start : start + _PIECE_ENTRIES]
        piece = json.dumps([[key.hex(), *sample] for key, sample in entries])
        yield (", " if start else "") + piece[1:-1]
        time.sleep(_REST_SECONDS)
    yield "]}\n"
