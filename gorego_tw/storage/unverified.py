"""Which files have bytes in memory that came from the disk, and were not compared with a hash since."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from twisted.internet.interfaces import IReactorTime

from gorego_tw.errors import StatusError
from gorego_tw.storage.key_slots import KeySlots
from gorego_tw.storage.waiting_line import WaitingLine

#: How many files that nobody reads are remembered, some 250 bytes each. The index takes down what is more.
MOST_FILES = 10_000

#: Of how many it learns at once while requests wait for it: some 8 ms.
_NOTED_AT_ONCE = 500


@dataclass(slots=True)
class _File:
    """One of them.

    :ivar forget: takes it out of what outlives the process.
    :ivar readers: how many compare it with its hash now.
    :ivar left: the turn in which the last of them left before the end, 0 if all since were right.
    :ivar hashed: the turn in which somebody began to hash all of it for whom others waited.
    :ivar line: where they wait, if that is under way.
    """

    key: bytes
    forget: Callable[[], None]
    readers: int = 0
    left: int = 0
    hashed: int = 0
    line: WaitingLine | None = None


class Unverified:
    """Files by their inodes, from the first byte that comes from the disk until all of it was compared.

    Not by the names of blobs: one that was damaged and is put again is another file, and who reads
    the old one has it open. The order of what happens is counted in turns, since readers of one
    file overtake each other: who ends well has seen what others have brought to memory before it
    began, and nothing of what those brought who began later.

    :param doubt: lets the files of those keys be hashed before they are read the next time.
    :param slots: the keys of those in ``files``, for the case that the process is killed.
    :ivar files: a look into it is all that a reader of what is in memory pays.
    :ivar verified_bytes: how much of what came from the disk, or may have, was hashed for readers.
    """

    def __init__(
        self,
        doubt: Callable[[Iterable[bytes]], object],
        slots: KeySlots,
        clock: IReactorTime,
    ) -> None:
        self.files: dict[int, _File] = {}
        self.verified_bytes = 0
        self._doubt = doubt
        self._slots = slots
        self._clock = clock
        self._turn = 0

    def begin(self, inode: int, key: bytes) -> int:
        """A reader compares the file from now on.

        :returns: the turn.
        """
        if len(self.files) >= MOST_FILES:
            self.note(_NOTED_AT_ONCE)
        file = self.files.get(inode)
        if file is None or file.key != key:
            if file is not None:  # of a file that has gone
                file.forget()
            file = self.files[inode] = _File(key, self._slots.put(key))
        file.readers += 1
        return self._next_turn()

    def end(self, inode: int, turn: int, *, whole: bool) -> None:
        """A reader that has begun in that turn is through with it.

        :param whole: whether all was read since, and is right.
        """
        file = self.files[inode]
        file.readers -= 1
        if not whole:
            file.left = self._next_turn()
        elif file.left < turn:
            file.left = 0
        if not file.readers and not file.left:
            self._forget(inode)

    async def hash_once(self, inode: int, hash_all: Callable[[], Awaitable[object]]) -> int:
        """Hash all of a file, or wait for who is doing that: parts of one blob are asked for together.

        :returns: the turn in which that began.
        """
        file = self.files[inode]
        before = file.hashed
        while file.line is not None and file.hashed == before:
            await file.line.join()
        if file.hashed != before:
            return file.hashed
        line = file.line = WaitingLine(self._clock)
        try:
            began = self._next_turn()
            await hash_all()
            file.hashed = began
        finally:
            file.line = None
            line.call()
        return began

    def note(self, most: int | None = None) -> None:
        """Let the index know of those that nobody reads, for when this is full, or the process ends.

        :param most: of how many at most; of all if it is not given.
        """
        nobodys = ((inode, file.key) for inode, file in self.files.items() if not file.readers)
        idle = dict(islice(nobodys, most))
        if not idle:
            return
        with suppress(StatusError):  # they stay here
            self._doubt(idle.values())
            for inode in idle:
                self._forget(inode)

    def recover(self, *, killed: bool) -> None:
        """Let the files be hashed that were here in the process before, if it was killed in this boot: what it
        has brought to memory is there still.

        :raises StatusError: LMDB fails.
        """
        left = self._slots.left if killed else []
        for start in range(0, len(left), _NOTED_AT_ONCE):
            self._doubt(left[start : start + _NOTED_AT_ONCE])
        self._slots.clear()

    def close(self) -> None:
        """At the end, after ``note``."""
        self._slots.close()

    def _forget(self, inode: int) -> None:
        self.files.pop(inode).forget()

    def _next_turn(self) -> int:
        self._turn += 1
        return self._turn
