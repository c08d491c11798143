"""When entries were last used: collected in memory, written to the index in batches."""

from __future__ import annotations

from collections.abc import Callable, Collection

from twisted.internet.interfaces import IReactorTime

from gorego_tw.digest import Digest
from gorego_tw.errors import StatusError
from gorego_tw.storage.index import Index
from gorego_tw.storage.newest import Newest
from gorego_tw.storage.uses import Uses

#: How many uses are collected, those that are being written included. One takes about 200 bytes, so that
#: is 40 MB. Half of them make a flush due; who brings more than all waits until as many are written.
MOST_PENDING = 200_000

#: How long a slice of a flush may take, in seconds: as long as other calls have to wait for it.
SLICE_SECONDS = 0.001

#: What slices leave to others between them, in seconds, while there is room enough.
REST_SECONDS = 0.004

#: How old uses get before they are written, in seconds. A crash forgets so many of them.
FLUSH_SECONDS = 60.0

#: How many are written at once by who brings too many: 0.2 ms, a tenth of which is the commit.
_BATCH = 32

#: The most that one call writes of a large batch it brings: as long as a slice.
MOST_AT_ONCE = 256


class LastUse:
    """The times, in whole seconds since the epoch, of the clock's last :meth:`tick`; later than those by
    as much as the clock was set back between this process and an earlier one.

    No use is lost as long as the index can be written, however many there are: then each call that
    brings one writes one.

    :param index: where they are kept.
    :ivar observers: each told of the blobs whose uses were written, a slice at a time.
    :ivar crowded: called when a flush should not wait any more.
    :ivar newest: what was written last.
    """

    def __init__(self, index: Index, clock: IReactorTime) -> None:
        self.observers: list[Callable[[list[Digest]], object]] = []
        self.crowded: Callable[[], object] = bool
        self.newest = Newest()
        self._index = index
        self._clock = clock
        self._pending = Uses()
        self._flushing = Uses()
        # How many may be pending until something has to be done about it.
        self._room = MOST_PENDING // 2
        self._flushed_at = clock.seconds()
        # A machine whose clock was set back, or which has none, would take what is used now for older
        # than what was used before, and evict that first: time goes on where it was.
        self._ahead = max(0.0, index.latest_use - clock.seconds())
        self.now = max(0, int(clock.seconds() + self._ahead))

    def __len__(self) -> int:
        return self._pending.count + self._flushing.count

    def written(self, key: bytes, size_bytes: int) -> int:
        """The entry with that key, of so many bytes, is written now: which is what its record has to say."""
        self.newest.note(key, size_bytes)
        return self.now

    def touch(self, key: bytes) -> None:
        """The entry with that key is used now. Not inside of a write transaction."""
        pending = self._pending
        pending.note(key, self.now)
        if pending.count >= self._room:
            self._make_room(_BATCH)

    def touch_all(self, keys: Collection[bytes]) -> None:
        """All of those entries are used now. Not inside of a write transaction."""
        pending = self._pending
        pending.note_all(keys, self.now)
        if pending.count >= self._room:
            self._make_room(min(len(keys), MOST_AT_ONCE))

    def latest(self, key: bytes, recorded: int) -> int:
        """The last use of an entry whose record says ``recorded``."""
        return self._pending.get(key) or self._flushing.get(key) or recorded

    def is_pending(self, key: bytes) -> bool:
        """Whether a use of that entry has still to be written."""
        return self._pending.get(key) is not None or self._flushing.get(key) is not None

    def forget(self, key: bytes) -> None:
        """The entry is gone."""
        self._pending.forget(key)
        self._flushing.forget(key)

    def tick(self) -> None:
        """Look at the clock. Times never go backwards, whatever the clock does."""
        self.now = max(self.now, int(self._clock.seconds() + self._ahead))

    @property
    def due(self) -> bool:
        """Whether there is something to be flushed by now."""
        overdue = self._clock.seconds() - self._flushed_at >= FLUSH_SECONDS
        return bool(self._flushing.count) or overdue or self._pending.count >= MOST_PENDING // 2

    @property
    def rest_seconds(self) -> float:
        """How long the flush leaves to others before its next slice, in seconds."""
        return REST_SECONDS if len(self) < MOST_PENDING * 3 // 4 else 0.0

    def flush_slice(self) -> bool:
        """Write some of them, for as long as SLICE_SECONDS.

        :returns: whether some are left of those that were pending at the first slice.
        """
        if not self._flushing.count:
            self._begin()
        seconds = self._clock.seconds
        end = seconds() + SLICE_SECONDS
        self._write(lambda _written: seconds() < end)
        return self._flushing.count > 0

    def note(self) -> None:
        """Write down what time it is by now, for the next process."""
        with self._index.write() as txn:
            txn.note_latest_use(self.now)

    def _begin(self) -> None:
        self._flushing, self._pending = self._pending, Uses()
        self._flushed_at = self._clock.seconds()
        self._room = MOST_PENDING // 2

    def _write(self, goes_on: Callable[[int], bool]) -> None:
        """Write the next ones.

        :param goes_on: given how many were written, whether more may be.
        :raises StatusError: LMDB fails; those of this call are forgotten.
        """
        flushing, written = self._flushing, 0
        blobs: list[Digest] = []
        with self._index.write() as txn:
            if flushing.count:
                txn.note_latest_use(self.now)
            while taken := flushing.take(_BATCH):
                for key, used in taken:
                    if (blob := txn.renew(key, used)) is not None:
                        blobs.append(blob)
                written += len(taken)
                if not goes_on(written):
                    break
        for observe in self.observers:
            observe(blobs)

    def _make_room(self, count: int) -> None:
        """There are many: let them be written soon; if there are too many, write some.

        :param count: how many came.
        """
        if not self._flushing.count:
            self.crowded()
            if self._pending.count < MOST_PENDING:
                self._room = MOST_PENDING
                return
            self._begin()
        if len(self) >= MOST_PENDING:
            try:
                self._write(lambda written: written < count)
            except StatusError:  # nothing can be written for now
                self._pending.forget_some(len(self) - MOST_PENDING)
        self._room = max(self._pending.count, MOST_PENDING - self._flushing.count) + _BATCH
