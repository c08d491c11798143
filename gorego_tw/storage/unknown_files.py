"""What the files take of the disk that the index does not know yet: an estimate, as long as it is made anew.

They are below the limit together with everything else. Without them a cache as large as its limit would take
as much again before all of its files are known.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import NamedTuple

from gorego_tw.errors import StatusError
from gorego_tw.storage.disk_threads import DiskThreads
from gorego_tw.storage.doubt import FOLDERS
from gorego_tw.storage.files import BlobFiles
from gorego_tw.storage.index import Index
from gorego_tw.storage.records import disk_bytes

#: So many files of each digest function are looked at for the first estimate, if there are as many: half a
#: minute, where each takes a cold disk 8 ms; and so many at a time, after which the estimate is a better one.
SAMPLED_FILES = 4096
SAMPLED_AT_ONCE = 256

#: A name in a folder, which may be of a file that is known, is so much less work than a look at its file.
_NAMES = 16

#: Each so many-th folder is looked at, whatever that takes, and then those in between have their turn.
_STRIDE = 16


class Sample(NamedTuple):
    """One folder: what its unknown files seem to take, in bytes, and what work that was, in files looked at."""

    prefix: bytes
    size_bytes: int
    work: int


@dataclass
class _Folders:
    """Those of one digest function that were not compared with the index yet.

    :ivar others: how many were not looked at.
    :ivar others_replaced_bytes: what was unknown in these, and is no more.
    :ivar samples: what seems to be unknown in each that was looked at, in bytes.
    :ivar seen: how many folders have been looked at, for a sample or to be compared.
    :ivar seen_bytes: what was unknown in these.
    """

    others: int
    others_replaced_bytes: float = 0
    samples: dict[bytes, int] = field(default_factory=dict)
    seen: int = 0
    seen_bytes: float = 0

    def add(self, sample: Sample) -> None:
        """One of the others was looked at."""
        self.others -= 1
        self.samples[sample.prefix] = sample.size_bytes
        self._saw(sample.size_bytes)

    def take(self, prefix: bytes, size_bytes: int) -> None:
        """One of them is being compared."""
        if self.samples.pop(prefix, None) is None:
            replaced = self.others_replaced_bytes / self.others
            self.others -= 1
            self.others_replaced_bytes -= replaced
            self._saw(size_bytes + replaced)

    def replaced(self, prefix: bytes, size_bytes: int) -> None:
        """So much in one of them is not unknown any more."""
        if prefix in self.samples:
            self.samples[prefix] -= size_bytes
        else:
            self.others_replaced_bytes += size_bytes

    def unknown_bytes(self, most_bytes: int) -> float:
        """What is unknown in all of them."""
        average = min(self.seen_bytes / self.seen, most_bytes / 256) if self.seen else 0.0
        others = self.others * average - self.others_replaced_bytes
        return min(max(0, sum(self.samples.values())) + max(0.0, others), most_bytes)

    def _saw(self, size_bytes: float) -> None:
        self.seen += 1
        self.seen_bytes += size_bytes


class UnknownFiles:
    """The estimate: what an average folder has, names being hashes, for each that was not looked at yet.

    :param most_bytes: how much all of them take at most, in bytes: a few large files in a sample are no reason
        to believe that the limit was not kept.
    :ivar size_bytes: what they take, in bytes; 0 if all files are known.
    """

    def __init__(self, index: Index, files: BlobFiles, most_bytes: int) -> None:
        self.size_bytes = 0
        self._index = index
        self._files = files
        self._most_bytes = most_bytes
        self._functions: dict[int, _Folders] = {}
        self._here = b""
        self._here_bytes = 0

    async def estimate(
        self, position: int, threads: DiskThreads, is_wanted: Callable[[], object]
    ) -> None:
        """Look at some files of the folders from that position on.

        :param is_wanted: whether to go on.
        """
        self.end()
        for function, group in groupby(FOLDERS[position:], key=lambda prefix: prefix[0]):
            folders = tuple(group)
            found = self._functions[function] = _Folders(len(folders))
            order = iter([p for first in range(_STRIDE) for p in folders[first::_STRIDE]])
            least, work = len(folders) // _STRIDE, 0
            while is_wanted() and (work < SAMPLED_FILES or len(found.samples) < least):
                samples = await threads.run(self._sample, order)
                if not samples:
                    break
                for sample in samples:
                    found.add(sample)
                    work += sample.work
                self._sum_up()

    def surveyed(self, prefix: bytes, size_bytes: int) -> None:
        """What is unknown in a folder is known to be so much, in bytes; it is the next to be compared."""
        if prefix > self._here:
            self._functions[prefix[0]].take(prefix, size_bytes)
            self._here = prefix
        self._here_bytes = size_bytes
        self._sum_up()

    def settled(self, size_bytes: int) -> None:
        """So much of that, in bytes, is known, or gone."""
        self._here_bytes -= size_bytes
        self._sum_up()

    def replaced(self, key: bytes) -> None:
        """A file comes to the place of a blob; what is there, if anything, is not known."""
        folders = self._functions.get(key[0])
        if folders is not None and key[:2] > self._here:
            with suppress(OSError):
                found = os.lstat(self._files.path(key))
                folders.replaced(key[:2], disk_bytes(found.st_size))
                self._sum_up()

    def end(self) -> None:
        """All files are known."""
        self._functions.clear()
        self._here, self._here_bytes = b"", 0
        self.size_bytes = 0

    def _sample(self, prefixes: Iterator[bytes]) -> list[Sample]:  # in a thread
        """As many of these folders as SAMPLED_AT_ONCE allows; those that cannot be read are left out."""
        samples: list[Sample] = []
        work = 0
        for prefix in prefixes:
            with suppress(OSError, StatusError):
                samples.append(self._sample_folder(prefix))
                work += samples[-1].work
            if work >= SAMPLED_AT_ONCE:
                break
        return samples

    def _sample_folder(self, prefix: bytes) -> Sample:
        there = self._files.folder(prefix)
        known = {key for key, _ in self._index.of_prefix(prefix)} if there else set()
        unknown = there - known
        sizes = []
        for key in islice(unknown, SAMPLED_AT_ONCE):
            with suppress(OSError):
                sizes.append(disk_bytes(os.lstat(self._files.path(key)).st_size))
        size_bytes = sum(sizes) * len(unknown) // len(sizes) if sizes else 0
        return Sample(prefix, size_bytes, max(len(sizes), len(there) // _NAMES))

    def _sum_up(self) -> None:
        left = sum(f.unknown_bytes(self._most_bytes) for f in self._functions.values())
        self.size_bytes = int(max(0, self._here_bytes) + left)
