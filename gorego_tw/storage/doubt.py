"""What is not known of the files after a power cut, or without the index that knew them."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct, error

from gorego_tw.digest import DigestFunction
from gorego_tw.storage.environment import Environment
from gorego_tw.storage.records import BlobRecord

_NAME = b"doubt"
_DOUBT = Struct("<QQ?H")

#: All folders that blobs may be in, as the first two bytes of their keys, in the order of these.
FOLDERS = tuple(
    bytes([function, first]) for function in sorted(DigestFunction) for first in range(256)
)


@dataclass
class Doubt:
    """Files may be missing that the index knows; others may be there that it does not know.

    It is kept in the index until all folders of files have been compared with it.

    :ivar since: files that were written from then on, and before ``until``, may have other
        content than was written; both in nanoseconds since the epoch.
    :ivar verify: whether files that the index does not know are hashed before it knows them, and
        not when they are read.
    :ivar position: how many of the folders have been compared.
    """

    since: int
    until: int
    verify: bool
    position: int = 0

    def covers(self, record: BlobRecord) -> bool:
        """Whether the content of that file is to be verified, whatever its stamp."""
        return record.is_file and self.since <= record.stamp < self.until

    def may_be_lost(self, key: bytes) -> bool:
        """Whether the file of that blob may be gone: its folder has not been compared yet."""
        return self.position < len(FOLDERS) and key[:2] >= FOLDERS[self.position]

    def joined(self, since: int, until: int) -> Doubt:
        """This doubt and another one, all to be found out from the first folder on."""
        if not self.until:
            return Doubt(since, until, self.verify)
        return Doubt(min(self.since, since), max(self.until, until), self.verify)

    def write(self, environment: Environment) -> None:
        """Keep it.

        :raises StatusError: LMDB fails.
        """
        packed = _DOUBT.pack(self.since, self.until, self.verify, self.position)
        environment.note_position(_NAME, packed)

    def end(self, environment: Environment) -> None:
        """All is known.

        :raises StatusError: LMDB fails.
        """
        environment.note_position(_NAME, None)

    @classmethod
    def read(cls, environment: Environment) -> Doubt | None:
        """What is kept.

        :raises StatusError: LMDB fails.
        """
        packed = environment.position(_NAME)
        if packed is None:
            return None
        try:
            return cls(*_DOUBT.unpack(packed))
        except error:
            return None


#: Nothing yet; what is added to it is found out by hashing.
NO_DOUBT = Doubt(0, 0, verify=True)

#: Later than any time of a file, in nanoseconds since the epoch.
ALWAYS = (1 << 64) - 1
