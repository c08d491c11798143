"""Files of which the index knows nothing, or does not know whether they are what they were: taken in, or thrown away."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from txaio.tx import make_logger

from gorego_tw.storage.files import BlobFiles
from gorego_tw.storage.index import Index
from gorego_tw.storage.inventory import Inventory
from gorego_tw.storage.records import BlobRecord, entry_name


class Adoption:
    """Brings the index in step with files that are in their places.

    :param inventory: knows what the index says of them.
    """

    _log = make_logger()

    def __init__(self, index: Index, files: BlobFiles, inventory: Inventory) -> None:
        self._index = index
        self._files = files
        self._inventory = inventory

    def adopt(self, entries: Iterable[tuple[bytes, BlobRecord]]) -> int:
        """Know files of which nothing is known.

        :returns: how many those are.
        """
        adopted = 0
        with self._index.write() as txn:
            for key, record in entries:
                if self._inventory.record(key) is None and self._files.exists(key):
                    txn.put_blob(key, record)
                    adopted += 1
        return adopted

    def doubt(self, keys: Iterable[bytes]) -> None:
        """Let those files be hashed before any of them is given out the next time, as far as they are in doubt."""
        with self._index.write() as txn:
            for key in keys:
                record = self._inventory.record(key)
                if record is not None and self._inventory.is_doubted(record):
                    txn.put_blob(key, record._replace(stamp=0))

    def refuse(self, key: bytes, damage: str) -> bool:
        """Throw a file away that is not what its name says, unless it is known by now.

        :returns: whether that was done.
        """
        if self._inventory.record(key) is not None:
            return False
        self._inventory.damaged += 1
        self._log.warn("threw {entry} away: {damage}", entry=entry_name(key), damage=damage)
        with suppress(OSError):
            self._files.discard(key)
        return True
