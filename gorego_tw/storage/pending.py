"""What has still to be uploaded: in a database of its own, so that it survives the process.

A commit is in the hands of the kernel when it returns: kill -9 loses nothing that was added. A
crash of the whole machine loses what the last checkpoint has not seen, as it does of the blobs
themselves, which are in the same environment.

What keeps an upload possible until it is done:

- A blob is added after it was written and before that is acknowledged. While it is pending it is
  pinned: eviction leaves it alone.
- An action result is pinned in the same way. Each blob it refers to is either known to be
  upstream at the moment, or pending already, or, if it is here, becomes pending together with the
  action result, in one transaction. So none goes away here before it was upstream.
- A blob that was upstream may be evicted there and here before the action result's turn comes.
  Then nobody can complete the action result, and it is dropped.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf, nextafter

import lmdb
from twisted.internet.interfaces import IReactorTime
from txaio.tx import make_logger

from gorego_tw.digest import Digest
from gorego_tw.errors import Unavailable
from gorego_tw.forwarding import Metadata, forwarded, way
from gorego_tw.interfaces import ActionKey
from gorego_tw.storage.environment import Environment
from gorego_tw.storage.failures import no_room
from gorego_tw.storage.local import action_key
from gorego_tw.storage.records import (
    DamagedRecord,
    PendingRecord,
    entry_name,
    pack_pending,
    unpack_pending,
)

#: How many entries wait at most. One takes 390 bytes of memory and 100 of the index, so that is
#: 51 MB and 13 MB; a start reads as many in 0.6 seconds.
MOST_ENTRIES = 131_072


@dataclass(slots=True)
class Entry:
    """One thing to be uploaded.

    :ivar record: as it is kept.
    :ivar times: how often it was added. One that was added again while it was being uploaded
        is another one by now.
    :ivar failures: how often its upload has failed since the start.
    :ivar refused_since: since when it was refused at each try, in seconds of the clock; None if the last one ended
        in another way.
    :ivar way: along which the call has come that has added it last, as far as this process knows.
    """

    record: PendingRecord
    times: int = 1
    failures: int = 0
    refused_since: float | None = None
    way: Metadata = ()

    def again(self) -> None:
        """It was added once more."""
        self.times += 1
        self.way = way(forwarded())


class Pending:
    """The entries by their keys in the index, which tell action results from blobs.

    It takes what it is given as long as it is not full, so that it exceeds its bounds by one blob,
    or by one action result and its blobs, at most: anything can be added to an empty queue.

    :param environment: of the index.
    :param max_entries: how many entries it holds.
    :param max_bytes: how much their uploads come to, in bytes. So much of the local tier cannot
        be evicted.
    :ivar is_pinned: whether the entry with that key in the index must not be evicted.
    :raises Unavailable: they cannot be read.
    """

    _log = make_logger()

    def __init__(
        self,
        environment: Environment,
        clock: IReactorTime,
        *,
        max_entries: int = MOST_ENTRIES,
        max_bytes: int,
    ) -> None:
        self._environment = environment
        self._database = environment.pending
        self._clock = clock
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._entries: dict[bytes, Entry] = {}
        self._size_bytes = 0
        self._latest = 0.0
        self.is_pinned = self._entries.__contains__
        self._load()
        # If the clock was set back since the process before, time goes on where it was.
        self._ahead = max(0.0, self._latest - clock.seconds())

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[bytes]:
        """The keys, in the order in which they were added."""
        return iter(self._entries)

    def __getitem__(self, key: bytes) -> Entry:
        return self._entries[key]

    @property
    def size_bytes(self) -> int:
        """What is to be uploaded, in bytes."""
        return self._size_bytes

    @property
    def oldest_age_seconds(self) -> float:
        """How long the oldest entry has been waiting, in seconds; 0 if there is none."""
        for entry in self._entries.values():
            return max(0.0, self._clock.seconds() + self._ahead - entry.record.added)
        return 0.0

    def add_blob(self, digest: Digest) -> list[bytes]:
        """Upload that blob of the local tier.

        :returns: the keys that are new.
        :raises ResourceExhausted: too much is waiting already.
        :raises Unavailable: the blob is not here any more, or LMDB fails.
        """
        record = PendingRecord(digest, digest.size_bytes, self._time())
        if digest.key in self._entries:
            self._entries[digest.key].again()
            return []
        with self._write() as txn:
            if txn.get(digest.key, db=self._environment.blobs) is None:
                raise Unavailable(f"local tier: blob {digest} was evicted at once; send it again")
            self._put(txn, {digest.key: record})
        return self._added({digest.key: record})

    def add_action(
        self, key: ActionKey, size_bytes: int, references: Collection[Digest]
    ) -> list[bytes]:
        """Upload that action result of the local tier, and first what it refers to.

        :param size_bytes: the length of the serialized action result, in bytes.
        :param references: the blobs that may not be upstream. Those that are here are added too.
        :returns: the keys that are new, that of the action result the last.
        :raises ResourceExhausted: too much is waiting already.
        :raises Unavailable: the action result is not here any more, or LMDB fails.
        """
        packed, now = action_key(key), self._time()
        with self._write() as txn:
            if txn.get(packed, db=self._environment.actions) is None:
                raise Unavailable(f"local tier: result of action {key.action} was evicted at once")
            records = {
                digest.key: PendingRecord(digest, digest.size_bytes, now, may_be_there=True)
                for digest in references
                if digest.key not in self._entries
                and txn.get(digest.key, db=self._environment.blobs) is not None
            }
            if packed not in self._entries:
                records[packed] = PendingRecord(key, size_bytes, now)
            self._put(txn, records)
        if packed not in records:
            self._entries[packed].again()
        return self._added(records)

    def done(self, key: bytes) -> None:
        """Nothing has to be done about that entry any more.

        :raises Unavailable: LMDB fails; the entry is still there.
        """
        with self._write() as txn:
            txn.delete(key, db=self._database)
        self._size_bytes -= self._entries.pop(key).record.size_bytes

    def _time(self) -> float:
        """When something is added now: after all that was added before, whatever the clock says.

        The next process takes the order from that.
        """
        now = self._clock.seconds() + self._ahead
        self._latest = max(now, nextafter(self._latest, inf))
        return self._latest

    def _put(self, txn: lmdb.Transaction[bytes], records: dict[bytes, PendingRecord]) -> None:
        if records and (len(self) >= self._max_entries or self._size_bytes >= self._max_bytes):
            raise no_room(
                f"upload queue: full: {len(self)} of {self._max_entries} entries, "
                f"{self._size_bytes} of {self._max_bytes} bytes are waiting"
            )
        for key, record in records.items():
            txn.put(key, pack_pending(record), db=self._database)

    def _added(self, records: dict[bytes, PendingRecord]) -> list[bytes]:
        for key, record in records.items():
            self._entries[key] = Entry(record, way=way(forwarded()))
            self._size_bytes += record.size_bytes
        return list(records)

    @contextmanager
    def _write(self) -> Iterator[lmdb.Transaction[bytes]]:
        try:
            with self._environment.begin(write=True) as txn:
                yield txn
        except lmdb.Error as error:
            raise self._environment.trouble(error) from error

    def _load(self) -> None:
        records: dict[bytes, PendingRecord] = {}
        damaged = []
        with self._write() as txn:
            for key, value in txn.cursor(db=self._database):
                try:
                    records[key] = unpack_pending(key, value)
                except DamagedRecord as error:
                    damaged.append(key)
                    self._log.error(
                        "upload queue: {key}: {error}", key=entry_name(key), error=error
                    )
            for key in damaged:
                txn.delete(key, db=self._database)
        # An action result that was added together with its blobs comes after them.
        oldest_first = sorted(records, key=lambda key: (records[key].added, records[key].is_action))
        self._added({key: records[key] for key in oldest_first})
        self._latest = max((record.added for record in records.values()), default=0.0)
