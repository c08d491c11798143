"""How much of the disk may be used, how much is, and how much was promised to writes under way."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from twisted.internet.interfaces import IReactorTime

from gorego_tw.errors import ResourceExhausted, StatusError
from gorego_tw.storage.failures import no_room, telling
from gorego_tw.storage.records import BLOCK_BYTES, disk_bytes

#: How long an answer of the file system about its free space holds, in seconds, unless more is promised meanwhile
#: than it had left.
FREE_BYTES_SECONDS = 1.0

#: A part of the limit that is kept free for what arrives while eviction is at work: 1/16, and
#: 1 GiB at most, which the janitor needs about a second for.
HEADROOM_SHARE = 16
MOST_HEADROOM_BYTES = 1 << 30

#: The part of the headroom that a write may take which need not be.
SPARE_SHARE = 4

#: The part of the limit that a single blob leaves to the index, for its pages and the free ones that count
#: (``Index.stored_bytes``): a larger blob would be evicted right after it was taken, and all others before it.
INDEX_SHARE = 64

#: There is room as long as it is enough for so much, in bytes: most outputs of builds are smaller.
ORDINARY_BYTES = 1 << 20


def headroom_bytes(limit_bytes: int) -> int:
    """What is kept free below a limit."""
    return min(limit_bytes // HEADROOM_SHARE, MOST_HEADROOM_BYTES)


async def _at_once(_size_bytes: int = 0) -> None:
    """Nobody waits."""


class Reservation:
    """Room promised to one write, given back at the end of the block or by ``release``.

    What was written in its place counts as used by then.
    """

    __slots__ = ("_size_bytes", "_space")

    def __init__(self, space: Space, size_bytes: int) -> None:
        self._space = space
        self._size_bytes = size_bytes

    def release(self) -> None:
        """Give the room back; nothing if that was done before."""
        self._space.reserved_bytes -= self._size_bytes
        self._size_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


class Space:
    """The limit, and what is left below it.

    :param limit_bytes: how much everything together may take, in bytes.
    :param free_reserve_bytes: how much others shall find free on the file system, in bytes.
    :param stored: how much is taken by what is stored, in bytes.
    :param in_files: how much of that is in files, which eviction gives back to the file system, in bytes. What it
        takes out of the index leaves free pages, which the index's file keeps.
    :param unknown: how much is taken by files that are not known yet, and cannot be evicted, in bytes: an estimate.
    :param free: how much the file system has left, in bytes. It may raise OSError.
    :param lacking_files: how many files too few it has room for. It may raise OSError.
    :param most_files: how many could be evicted at most.
    :ivar reserved_bytes: what is promised to writes under way.
    :ivar partial_bytes: what is taken by uploads that nobody goes on with at the moment.
    :ivar doomed_bytes: what will be free when the trash has been emptied.
    :ivar doomed_files: how many files these are.
    :ivar wanted_bytes: the largest write refused since eviction last made room for it.
    :ivar refusals: how many writes were refused.
    :ivar is_held_back: whether nothing may be written before the disk has what was.
    :ivar keep_pace: to be awaited before a write: lets the disk take in what was written, if the index has no room for
        more meanwhile.
    :ivar room: to be awaited before a write of so many bytes: lets eviction make room for it, if there is too little.
    :ivar freed: called when eviction has made some room, or has ended.
    :ivar evicts: whether somebody makes room where there is too little.
    :ivar crowded: called when eviction has something to do.
    :ivar crowded_at: when that was for the last time, in seconds since the epoch.
    """

    def __init__(
        self,
        limit_bytes: int,
        free_reserve_bytes: int,
        *,
        stored: Callable[[], int],
        in_files: Callable[[], int],
        free: Callable[[], int],
        lacking_files: Callable[[], int] = lambda: -sys.maxsize,
        most_files: Callable[[], int] = int,
        unknown: Callable[[], int] = int,
        clock: IReactorTime,
    ) -> None:
        self.limit_bytes = limit_bytes
        self.free_reserve_bytes = free_reserve_bytes
        self.headroom_bytes = headroom_bytes(limit_bytes)
        self.reserved_bytes = 0
        self.partial_bytes = 0
        self.doomed_bytes = 0
        self.doomed_files = 0
        self.wanted_bytes = 0
        self.refusals = 0
        self.crowded: Callable[[], object] = bool
        self.is_held_back: Callable[[], bool] = bool
        self.keep_pace: Callable[[], Awaitable[None]] = _at_once
        self.room: Callable[[int], Awaitable[None]] = _at_once
        self.freed: Callable[[], object] = bool
        self.evicts = False
        self.crowded_at = float("-inf")
        self._stored = stored
        self._in_files = in_files
        self._nothing_to_evict = False
        self._free = free
        self._look_for_files = lacking_files
        self._most_files = most_files
        self._unknown = unknown
        self._clock = clock
        self._free_bytes = self._lacking_files = 0
        self._free_until = float("-inf")
        # How much, and how many files, may be promised until the file system is asked again.
        self._left_bytes = self._left_files = 0

    @property
    def used_bytes(self) -> int:
        """What everything kept takes, in bytes."""
        return self._stored() + self.partial_bytes + self._unknown()

    @property
    def free_bytes(self) -> int:
        """What the file system has left, in bytes, as of a second ago; as of now where that is little."""
        now = self._clock.seconds()
        is_known = self._free_until - FREE_BYTES_SECONDS <= now < self._free_until
        if not is_known or self._left_bytes < 0 or self._left_files < 0:
            with telling():
                self._free_bytes = self._free()
                self._lacking_files = self._look_for_files()
            self._free_until = now + FREE_BYTES_SECONDS
            self._left_bytes = self._free_bytes - self.free_reserve_bytes
            self._left_files = -self._lacking_files
        return self._free_bytes

    @property
    def largest_bytes(self) -> int:
        """How much a single write may take at most, in bytes: it is to stay when it is done."""
        return self.limit_bytes - self.headroom_bytes - self.limit_bytes // INDEX_SHARE

    @property
    def excess_bytes(self) -> int:
        """How much is to be evicted, in bytes; 0 or less if nothing is."""
        return max(self._over_limit_bytes, self.lacking_bytes)

    @property
    def evictable_bytes(self) -> int:
        """How much eviction is to free, in bytes; 0 or less if nothing is.

        Where all files of the cache were not enough for what the file system lacks, none is given up for it: others
        have filled the disk, writes would be refused all the same, and what is here can be read meanwhile.
        """
        if self.lacking_bytes > self._in_files():
            return self._over_limit_bytes
        # As much as so many files take at least: it goes on until enough of what has gone were files.
        lacking_files = self.lacking_files
        for_files = lacking_files * BLOCK_BYTES if lacking_files <= self._most_files() else 0
        return max(self.excess_bytes, for_files)

    @property
    def failure(self) -> str | None:
        """Why ordinary writes are refused, and will be until somebody does something; None if they are not."""
        needed = min(ORDINARY_BYTES, self.headroom_bytes)
        try:
            left = self.free_bytes
        except StatusError as error:
            return error.message
        files = 0 if self._nothing_to_evict else self._in_files()
        if left + self.doomed_bytes + files < self.free_reserve_bytes + needed:
            return (
                f"local tier: no room: the file system has {left} bytes left, {self.free_reserve_bytes} are reserved "
                f"for others, and eviction could free {files}: make room on the disk of local_cache.dir"
            )
        if self._nothing_to_evict and self.used_bytes + needed > self.limit_bytes:
            return (
                f"local tier: no room: {self.used_bytes} of {self.limit_bytes} bytes are used, and nothing may be "
                "evicted, as what waits for the backing cache may not: let it take uploads, or raise "
                "local_cache.max_size_gb"
            )
        return None

    @property
    def lacking_bytes(self) -> int:
        """How much the file system has too little, whoever takes it, in bytes; 0 or less if it has enough."""
        needed = self.free_reserve_bytes + self.reserved_bytes + self.wanted_bytes
        return needed - self.free_bytes - self.doomed_bytes

    @property
    def lacking_files(self) -> int:
        """How many files too few the file system has room for, whoever has made them; 0 or less if for enough."""
        return self._lacking_files - self.doomed_files

    @property
    def _over_limit_bytes(self) -> int:
        taken = self.used_bytes + self.reserved_bytes + self.wanted_bytes
        over_limit = taken - (self.limit_bytes - self.headroom_bytes)
        if unknown := self._unknown():
            # What was written last is not to go for files that cannot: it waits until more of them are known.
            over_limit = min(
                over_limit, max(over_limit - unknown, self._stored() - self.headroom_bytes)
            )
        return over_limit

    def has_room(self, size_bytes: int) -> bool:
        """Whether so much of the disk is left below the limit."""
        return self.used_bytes + self.reserved_bytes + size_bytes <= self.limit_bytes

    @property
    def can_make_room(self) -> bool:
        """Whether eviction is at work, and has something to do that it may be able to."""
        if self._nothing_to_evict or self.is_held_back():
            return False
        try:
            return self.evicts and self.evictable_bytes > 0
        except StatusError:  # of a file system that cannot tell: nor can it take anything in
            return False

    def want(self, size_bytes: int) -> None:
        """Somebody needs so much of the disk."""
        self.wanted_bytes = max(self.wanted_bytes, size_bytes)
        self._tell_crowded()

    def reserve(self, size_bytes: int) -> Reservation:
        """Promise room for a blob of that size.

        :raises ResourceExhausted: there is none at the moment, or never will be.
        """
        size = disk_bytes(size_bytes)
        self.check(size)
        return self._promise(size)

    def spare(self, size_bytes: int) -> Reservation | None:
        """Promise room for a blob of that size to a write that need not be.

        :returns: None if there is not enough, or if more than a part of the headroom would have to
            be evicted for it; or while nothing may be written.
        """
        if self.is_held_back():
            return None
        size = disk_bytes(size_bytes)
        aside = 0 if size <= self.headroom_bytes // SPARE_SHARE else self.headroom_bytes
        if (
            not self.has_room(size + aside)
            or self.free_bytes - self.reserved_bytes - size < self.free_reserve_bytes
        ):
            return None
        return self._promise(size)

    def check(self, size_bytes: int) -> None:
        """Make sure that so much can be written now.

        :raises ResourceExhausted: as :meth:`reserve`.
        """
        if self.is_held_back():
            self.refusals += 1
            raise no_room(
                "local tier: no room for more now: the disk has not taken in what was written since the last "
                "checkpoint, and the index must not grow before it has"
            )
        if size_bytes > self.largest_bytes:
            self.refusals += 1
            raise ResourceExhausted(
                f"local tier: {size_bytes} bytes will never fit: the largest that does has {self.largest_bytes}, with "
                f"a limit of {self.limit_bytes}"
            )
        if not self.has_room(size_bytes + self.headroom_bytes):
            self._tell_crowded()
            if not self.has_room(size_bytes):
                self._refuse(size_bytes)
        if self.free_bytes - self.reserved_bytes - size_bytes < self.free_reserve_bytes:
            self._tell_crowded()
            self._refuse(size_bytes)
        if self.lacking_files > 0:
            self._tell_crowded()

    def doom(self, size_bytes: int) -> None:
        """A file that takes so much is in the trash, no longer counted as used."""
        self.doomed_bytes += size_bytes
        self.doomed_files += 1

    def emptied(self, size_bytes: int, files: int) -> None:
        """So many files, which took so much, are no longer in the trash: the file system has it, and is asked again."""
        self.doomed_bytes -= size_bytes
        self.doomed_files -= files
        self._free_until = float("-inf")

    def made_room(self, *, nothing_left: bool = False) -> None:
        """Eviction has done what it could: forget what was wanted, and ask the file system again.

        :param nothing_left: whether it has found nothing more that may go.
        """
        self._nothing_to_evict = nothing_left
        self.wanted_bytes = 0
        self._free_until = float("-inf")
        self.freed()

    def _promise(self, size_bytes: int) -> Reservation:
        """Let it have so much, in one file at most."""
        self.reserved_bytes += size_bytes
        self._left_bytes -= size_bytes
        self._left_files -= 1
        return Reservation(self, size_bytes)

    def _tell_crowded(self) -> None:
        self.crowded_at = self._clock.seconds()
        self.crowded()

    def _refuse(self, size_bytes: int) -> None:
        self.refusals += 1
        self.wanted_bytes = max(self.wanted_bytes, size_bytes)
        unknown = self._unknown()
        raise no_room(
            f"local tier: no room for {size_bytes} bytes now: {self.used_bytes} of {self.limit_bytes} are used"
            f"{f' (some {unknown} of them by files that the index does not know yet)' if unknown else ''}, "
            f"{self.reserved_bytes} promised to writes under way; "
            f"the file system has {self.free_bytes} left, {self.free_reserve_bytes} of it reserved"
        )
