"""What a continuous integration asks a cache for: synthetic, and the same for the same seed.

A repository has targets in a row. Each is one action with a few outputs; a commit changes a block of
neighbouring targets, few of them mostly and many now and then. The main line moves on through the working
day. Branches leave it, get commits of their own, are rebased, and end. What happens:

- a build of a branch, or of the main line: the targets around what it changed, and a core that all
  share. Most of them were built before by someone; those that were not are built, and read what they
  need of others;
- at 2 o'clock every night, a full build of the main line;
- with each build, a worker that has nothing yet reads a part of one of the toolchains, which are few
  and large, and are replaced now and then;
- reads of artifacts: what was built last is fetched by tests and people.

A request is an action result with what it refers to, which is a hit if all of that is there; or one
blob that is read. Sizes of outputs are lognormal, from a few bytes to tens of megabytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random
from typing import NamedTuple

from gorego_tw.digest import Digest, DigestFunction
from gorego_tw.interfaces import ActionKey
from gorego_tw.storage.local import action_key

HOUR = 3600
DAY = 24 * HOUR

#: When the trace begins, in seconds since the epoch: a Monday, 0 o'clock.
BEGIN = 1_767_571_200

#: How busy each hour of a working day is, as a part of the busiest one.
_BUSY = (0.05,) * 7 + (0.2, 0.6, 1, 1, 0.9, 0.6, 0.9, 1, 1, 0.9, 0.6, 0.3, 0.2) + (0.1,) * 4
_WEEKEND = 0.1

_BLOBS = bytes([DigestFunction.SHA256.value])


class Entry(NamedTuple):
    """What is kept as one: its key in the index, its size in bytes, and its name if it is an action
    result.
    """

    key: bytes
    size_bytes: int
    action: ActionKey | None = None


class Request(NamedTuple):
    """What is asked for together, at a time in seconds since the epoch."""

    time: float
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Shape:
    """How large the continuous integration is.

    :ivar builds_per_hour: in the busiest hour.
    :ivar large_change: the exponent of how many targets a commit changes; less is more.
    :ivar output_bytes: the median size of an output; ``spread`` is the sigma of its logarithm.
    """

    days: int = 14
    targets: int = 1200
    branches: int = 12
    builds_per_hour: float = 8
    large_change: float = 0.9
    output_bytes: int = 12_000
    spread: float = 1.8
    toolchains: int = 3
    toolchain_bytes: int = 6_000_000


@dataclass
class Line:
    """The main line or a branch: which version of each target it has."""

    versions: list[int]
    changed: tuple[int, int] = (0, 1)
    until: float = field(default=float("inf"))


class CITrace:
    """The requests, in the order of their times.

    :param seed: whatever is drawn is drawn by it.
    """

    def __init__(self, seed: int, shape: Shape | None = None) -> None:
        self._random = Random(seed)
        self._seed = seed
        self._shape = shape or Shape()
        self._commits = 0
        self._main = Line([0] * self._shape.targets)
        self._branches: list[Line] = []
        self._toolchains = [0] * self._shape.toolchains
        self._built: dict[bytes, Request] = {}

    def requests(self) -> Iterator[Request]:
        """All of them."""
        for hour in range(24 * self._shape.days):
            begin = BEGIN + hour * HOUR
            if hour % 24 == 2:
                yield from self._build(begin, range(self._shape.targets), self._main)
            busy = _BUSY[hour % 24] * (_WEEKEND if hour // 24 % 7 >= 5 else 1)
            builds = self._about(self._shape.builds_per_hour * busy)
            for time in sorted(begin + HOUR * self._random.random() for _ in range(builds)):
                yield from self._someone(time)

    def _someone(self, time: float) -> Iterator[Request]:
        """Somebody pushes, and that is built."""
        random = self._random
        self._branches = [line for line in self._branches if line.until > time]
        if random.random() < 0.25:
            line = self._main
        else:
            if len(self._branches) < self._shape.branches:
                days = random.uniform(0.3, 5)
                self._branches.append(Line(list(self._main.versions), until=time + days * DAY))
            line = random.choice(self._branches)
            if random.random() < 0.15:  # rebased: what it changed stays changed
                low, high = line.changed
                line.versions = [
                    *self._main.versions[:low],
                    *line.versions[low:high],
                    *self._main.versions[high:],
                ]
        if random.random() < 0.8:
            self._commit(line)
        core = range(self._shape.targets // 25)
        low, high = line.changed
        around = self._about(self._shape.targets / 20)
        wanted = range(max(len(core), low - around), min(self._shape.targets, high + around))
        yield from self._build(time, [*core, *wanted], line)
        yield from self._worker(time)

    def _commit(self, line: Line) -> None:
        """Change a block of targets; a branch goes on where it was, mostly."""
        self._commits += 1
        many = min(
            int(2 * self._random.paretovariate(self._shape.large_change)), len(line.versions)
        )
        low = self._random.randrange(len(line.versions) - many + 1)
        if line is not self._main and line.changed != (0, 1) and self._random.random() < 0.8:
            low = min(line.changed[0], len(line.versions) - many)
        line.versions[low : low + many] = [self._commits] * many
        line.changed = (low, low + many)

    def _build(self, time: float, targets: range | list[int], line: Line) -> Iterator[Request]:
        for number, target in enumerate(targets):
            now = time + number * 0.05
            name = f"{self._seed}/{target}/{line.versions[target]}"
            result = self._built.get(name.encode())
            if result is None:
                # What it needs of others is read by who builds it.
                for _ in range(self._random.randrange(4)):
                    needed = self._random.randrange(target + 1)
                    yield from self._read(now, f"{self._seed}/{needed}/{line.versions[needed]}")
                result = self._built[name.encode()] = self._result(name)
            yield Request(now, result.entries)
            if self._random.random() < 0.05:
                yield from self._read(now, name)

    def _read(self, time: float, name: str) -> Iterator[Request]:
        """One of the outputs of that action is read, if there are any yet."""
        result = self._built.get(name.encode())
        if result is not None:
            yield Request(time, (self._random.choice(result.entries[1:]),))

    def _result(self, name: str) -> Request:
        """An action result and its outputs, of which some are what they were in another version."""
        shape = self._shape
        draw = Random(name)
        target = name.rsplit("/", 1)[0]
        action = ActionKey("", Digest(_blob(name, 0).key, 100))
        entries = [Entry(action_key(action), draw.randrange(200, 2000), action)]
        for output in range(draw.choice((1, 1, 2, 2, 3, 6))):
            # The size of a target's output is about the same in all its versions.
            typical = Random(f"{target}/{output}").lognormvariate(0, shape.spread)
            size = int(shape.output_bytes * typical * draw.uniform(0.9, 1.1)) + 20
            same = draw.random() < 0.15
            entries.append(_blob(f"{target if same else name}/{output}", size if not same else 900))
        return Request(0, tuple(entries))

    def _worker(self, time: float) -> Iterator[Request]:
        """A new worker reads what it needs of a toolchain; now and then there is another version."""
        which = min(int(self._random.expovariate(1.2)), self._shape.toolchains - 1)
        if self._random.random() < 0.002:
            self._toolchains[which] += 1
        name = f"{self._seed}/toolchain {which}/{self._toolchains[which]}"
        for part in range(20):
            if self._random.random() < 0.6:
                size = Random(f"{name}/{part}").lognormvariate(0, 1.3) * self._shape.toolchain_bytes
                yield Request(time + part, (_blob(f"{name}/{part}", int(size) + 100_000),))

    def _about(self, mean: float) -> int:
        """A whole number whose mean that is."""
        return int(self._random.uniform(0, 2 * mean) + 0.5)


def _blob(name: str, size_bytes: int) -> Entry:
    return Entry(_BLOBS + sha256(name.encode()).digest(), size_bytes)
