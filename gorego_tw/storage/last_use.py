"""When entries were last used: collected in memory, written to the index in batches."""

from __future__ import annotations

from collections.abc import Callable, Collection

from twisted.internet.interfaces import IReactorTime

from gorego_tw.digest import Digest
from gorego_tw.storage.index import Index

#: How many uses are collected at most. One takes about 200 bytes, so that is 40 MB; those
#: of other entries are not noted until the next flush, which is asked for at half of it.
MOST_PENDING = 200_000

#: How long a slice of a flush may take, in seconds: as long as other calls have to wait for it.
SLICE_SECONDS = 0.001

#: How old uses get before they are written, in seconds. A crash forgets so many of them.
FLUSH_SECONDS = 60.0


class LastUse:
    """The times, in whole seconds since the epoch, of the clock's last :meth:`tick`; later than those by
    as much as the clock was set back between this process and an earlier one.

    :param index: where they are kept.
    :ivar observers: each told of the blobs whose uses were written, a slice at a time.
    """

    def __init__(self, index: Index, clock: IReactorTime) -> None:
        self.observers: list[Callable[[list[Digest]], object]] = []
        self._index = index
        self._clock = clock
        self._pending: dict[bytes, int] = {}
        self._flushing: dict[bytes, int] = {}
        self._flushed_at = clock.seconds()
        # A machine whose clock was set back, or which has none, would take what is used now for older
        # than what was used before, and evict that first: time goes on where it was.
        self._ahead = max(0.0, index.latest_use - clock.seconds())
        self.now = max(0, int(clock.seconds() + self._ahead))

    def touch(self, key: bytes) -> None:
        """The entry with that key is used now."""
        pending = self._pending
        if len(pending) < MOST_PENDING:
            pending[key] = self.now

    def touch_all(self, keys: Collection[bytes]) -> None:
        """All of those entries are used now."""
        if len(self._pending) < MOST_PENDING:
            self._pending.update(dict.fromkeys(keys, self.now))

    def latest(self, key: bytes, recorded: int) -> int:
        """The last use of an entry whose record says ``recorded``."""
        return self._pending.get(key) or self._flushing.get(key) or recorded

    def is_pending(self, key: bytes) -> bool:
        """Whether a use of that entry has still to be written."""
        return key in self._pending or key in self._flushing

    def forget(self, key: bytes) -> None:
        """The entry is gone."""
        self._pending.pop(key, None)
        self._flushing.pop(key, None)

    def tick(self) -> None:
        """Look at the clock. Times never go backwards, whatever the clock does."""
        self.now = max(self.now, int(self._clock.seconds() + self._ahead))

    @property
    def due(self) -> bool:
        """Whether there is something to be flushed by now."""
        overdue = self._clock.seconds() - self._flushed_at >= FLUSH_SECONDS
        return bool(self._flushing) or overdue or len(self._pending) >= MOST_PENDING // 2

    def flush_slice(self) -> bool:
        """Write some of them, for as long as SLICE_SECONDS.

        :returns: whether some are left of those that were pending at the first slice.
        """
        if not self._flushing:
            self._flushing, self._pending = self._pending, {}
            self._flushed_at = self._clock.seconds()
        flushing = self._flushing
        seconds = self._clock.seconds
        end = seconds() + SLICE_SECONDS
        blobs: list[Digest] = []
        with self._index.write() as txn:
            if flushing:
                txn.note_latest_use(self.now)
            while flushing:
                blob = txn.renew(*flushing.popitem())
                if blob is not None:
                    blobs.append(blob)
                if seconds() >= end:
                    break
        for observe in self.observers:
            observe(blobs)
        return bool(flushing)

    def note(self) -> None:
        """Write down what time it is by now, for the next process."""
        with self._index.write() as txn:
            txn.note_latest_use(self.now)
