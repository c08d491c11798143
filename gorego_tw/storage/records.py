"""The bytes of the index's values: packed here and nowhere else.

Numbers are little-endian. Every record of an entry begins with its last use, so that
this can be renewed without a look at the rest.
"""

from __future__ import annotations

import os
import struct
from functools import cache, partial
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from gorego_tw.digest import Digest, DigestFunction
from gorego_tw.interfaces import ActionKey, StoredActionResult

#: The first byte of an action result's key. A blob's key begins with its digest function, 1 to 9.
ACTIONS = 0

#: All first bytes of keys: what a tally is of.
KINDS = frozenset({ACTIONS, *map(int, DigestFunction)})

#: Where a blob is: in the index.
INLINE = 0
#: Where a blob is: in a file of its own.
FILE = 1
#: Where a blob is: in a file of its own, compressed (:mod:`gorego_tw.zstd.seekable`).
COMPRESSED = 2

#: Blobs of up to this many bytes are kept in the index: with LMDB's header of 16 bytes the value
#: fills one page of 4,096, so that freed pages always fit the next one. A file would take as much
#: of the disk and several times the time to make.
INLINE_LIMIT = 4080

#: No blob has so many bytes: 256 TiB.
_TOO_LARGE = 1 << 48

#: What a file takes of a disk is a multiple of this, in bytes (ext4, xfs, btrfs as they are made).
BLOCK_BYTES = 4096

#: What the constructor of a named tuple does, in half of its time.
_digest = partial(tuple.__new__, Digest)

_LAST_USED = Struct("<I")
_BLOB = Struct("<IBQQ")
#: The same with the length of the file, of blobs that are COMPRESSED.
_COMPRESSED_BLOB = Struct("<IBQQQ")
_ACTION = Struct("<II")
_REFERENCES = Struct("<IB?")
#: Both, one after the other.
_ACTION_HEAD = Struct("<IIIB?")
_TALLY = Struct("<qq")
#: What follows a record, and a tally: of the key of the record, and of all of it but the last use.
_CHECKSUM = Struct("<I")
_PENDING = Struct("<d?QQ")
_KEY_BYTES = {function: 1 + function.hash_bytes for function in DigestFunction}
_KEY_WIDTHS = frozenset(_KEY_BYTES.values())
#: The lengths of blobs' keys by their first bytes, in bytes.
_KEY_LENGTHS = {bytes([function]): length for function, length in _KEY_BYTES.items()}


class DamagedRecord(Exception):
    """A record that is not as it was written."""


class BlobRecord(NamedTuple):
    """What the index knows of a blob.

    ``last_used`` is in seconds since the epoch. ``location`` is INLINE, FILE or COMPRESSED.
    ``stamp`` is the change time of the file (st_ctime_ns) when its content was last known to be
    right. ``compressed_bytes`` is the length of a file that is COMPRESSED; 0 of what is not.
    """

    last_used: int
    location: int
    size_bytes: int
    stamp: int
    compressed_bytes: int = 0

    @property
    def is_file(self) -> bool:
        """Whether it has a file of its own, in whatever form."""
        return self.location != INLINE

    def is_of(self, file: os.stat_result) -> bool:
        """Whether nobody has touched the file since this was recorded of it."""
        return (file.st_ctime_ns, file.st_size) == (self.stamp, self.stored_bytes)

    @property
    def stored_bytes(self) -> int:
        """The length of the file, or of the value in the index, in bytes."""
        return self.compressed_bytes or self.size_bytes

    def of_size(self, size_bytes: int) -> BlobRecord | None:
        """The record of a blob of that size, in bytes, with the same hash; None if this is not of it.

        A file that looks like frames and was not hashed yet may be a blob as it is, which is such a file itself.
        """
        if self.size_bytes == size_bytes:
            return self
        if self.location != COMPRESSED or self.stamp or self.compressed_bytes != size_bytes:
            return None
        return self._replace(location=FILE, size_bytes=size_bytes, compressed_bytes=0)


class Tally(NamedTuple):
    """How many entries there are, and what their files take of the disk, in bytes."""

    entries: int
    file_bytes: int

    def plus(self, change: Tally) -> Tally:
        """Both together."""
        return Tally(self.entries + change.entries, self.file_bytes + change.file_bytes)


class PendingRecord(NamedTuple):
    """What has to be uploaded: a blob, or an action result.

    ``size_bytes`` is what the upload comes to. ``added`` is in seconds since the epoch.
    ``may_be_there`` says of a blob that it is worth asking for before it is uploaded.
    """

    subject: Digest | ActionKey
    size_bytes: int
    added: float
    may_be_there: bool = False

    @property
    def is_action(self) -> bool:
        """Whether it is an action result."""
        return isinstance(self.subject, ActionKey)

    def __str__(self) -> str:
        if isinstance(self.subject, ActionKey):
            return f"result of the action {self.subject.action}"
        return f"blob {self.subject}"


def entry_name(key: bytes) -> str:
    """What an entry is called where people read it: of a blob the hash, as commands take it."""
    kind = "action result " if key[:1] == bytes([ACTIONS]) else ""
    return f"{kind}{key[1:].hex()}"


def disk_bytes(size_bytes: int) -> int:
    """What a file of that size takes of the disk."""
    return -(-size_bytes // BLOCK_BYTES) * BLOCK_BYTES


def pack_blob(key: bytes, record: BlobRecord) -> bytes:
    """The value of a blob's key."""
    if record.location == COMPRESSED:
        packed = _COMPRESSED_BLOB.pack(*record)
    else:
        packed = _BLOB.pack(*record[:-1])
    return packed + _CHECKSUM.pack(_checksum(key, packed))


def unpack_blob(key: bytes, value: bytes | memoryview) -> BlobRecord:
    """The record of a blob.

    :raises DamagedRecord: it is none, or of another blob. Those of folders of an older form have no
        checksum, so that not all damage of them is seen.
    """
    form = _FORMS.get(len(value))
    if form is None or len(key) != _KEY_LENGTHS.get(key[:1]):
        raise DamagedRecord(f"a record of {len(value)} bytes")
    record = BlobRecord(*form.unpack_from(value))
    if len(value) > form.size:
        (checksum,) = _CHECKSUM.unpack_from(value, form.size)
        if checksum != _checksum(key, value[: form.size]):
            raise DamagedRecord("a record with a wrong checksum")
    elif record.size_bytes | record.compressed_bytes >= _TOO_LARGE:
        raise DamagedRecord(f"a record of {record.size_bytes} bytes")
    if (record.location == COMPRESSED) != (form is _COMPRESSED_BLOB):
        raise DamagedRecord("a record of another location")
    return record


#: The forms by their lengths in bytes, without and with a checksum.
_FORMS = {
    form.size + more: form for form in (_BLOB, _COMPRESSED_BLOB) for more in (0, _CHECKSUM.size)
}


def _checksum(key: bytes, packed: bytes | memoryview) -> int:
    return crc32(packed[_LAST_USED.size :], crc32(key))


#: The size alone, from the value of a blob's key, which may be too short: ``unpack_size(value)[0]``.
unpack_size = Struct("<5xQ").unpack_from


def may_be_of(key: bytes, value: bytes | None, size_bytes: int) -> bool:
    """Whether a record of another size, if there is one, may be of a blob of that size, in bytes, all the same."""
    try:
        return value is not None and unpack_blob(key, value).of_size(size_bytes) is not None
    except DamagedRecord:
        return False


def unpack_last_used(value: bytes | memoryview) -> int:
    """When the entry with that value was last used, in seconds since the epoch; never, if it is damaged."""
    return int(_LAST_USED.unpack_from(value)[0]) if len(value) >= _LAST_USED.size else 0


def renewed(value: bytes | memoryview, last_used: int) -> bytes:
    """The value of an entry, last used now."""
    return _LAST_USED.pack(last_used) + value[_LAST_USED.size :]


def pack_action(result: StoredActionResult, last_used: int) -> bytes:
    """The value of an action's key: last use, checksum of what follows, references, data.

    References are slots of one width, that of the longest key; a shorter key ends in zeros.
    """
    references = result.references
    widths = {len(digest.key) for digest in references}
    width = max(widths, default=0)
    pack_slot = _slot(width).pack
    covered = b"".join(
        (
            _REFERENCES.pack(len(references), width, len(widths) > 1),
            *(pack_slot(key, size_bytes) for key, size_bytes in references),
            result.data,
        )
    )
    return _ACTION.pack(last_used, crc32(covered)) + covered


def unpack_action(value: bytes) -> StoredActionResult:
    """The action result in that value.

    :raises DamagedRecord: it does not have its checksum, or its form, which who brings one may have got wrong.
    """
    if len(value) < _ACTION_HEAD.size:
        raise DamagedRecord(f"an action result of {len(value)} bytes")
    _, checksum, count, width, mixed = _ACTION_HEAD.unpack_from(value)
    if crc32(value[_ACTION.size :]) != checksum:
        raise DamagedRecord("wrong checksum")
    slot = _slot(width)
    end = _ACTION_HEAD.size + count * slot.size
    if end > len(value) or (count and width not in _KEY_WIDTHS):
        raise DamagedRecord(f"{count} references of {width} bytes in {len(value)}")
    pairs = slot.iter_unpack(value[_ACTION_HEAD.size : end])
    if mixed:
        pairs = ((key[: _KEY_BYTES.get(key[0])], size_bytes) for key, size_bytes in pairs)
    return StoredActionResult(value[end:], tuple(map(_digest, pairs)))


def damage_of_action(value: bytes) -> str | None:
    """What is wrong with a packed action result; None if nothing is."""
    try:
        unpack_action(value)
    except DamagedRecord as error:
        return str(error)
    return None


@cache
def _slot(width: int) -> Struct:
    """A reference: a key, then a size."""
    return Struct(f"<{width}sQ")


def pack_tally(tally: Tally) -> bytes:
    """The value of a tally."""
    packed = _TALLY.pack(*tally)
    return packed + _CHECKSUM.pack(crc32(packed))


def unpack_tally(value: bytes) -> Tally:
    """The tally in that value.

    :raises DamagedRecord: it is none. Those of an older form have no checksum.
    """
    packed, checksum = value[: _TALLY.size], value[_TALLY.size :]
    if len(packed) < _TALLY.size or checksum not in {b"", _CHECKSUM.pack(crc32(packed))}:
        raise DamagedRecord("a tally with a wrong checksum")
    tally = Tally._make(_TALLY.unpack(packed))
    if min(tally) < 0:
        raise DamagedRecord(f"a tally of {tally.entries} entries, {tally.file_bytes} bytes")
    return tally


def pack_pending(record: PendingRecord) -> bytes:
    """The value of what is to be uploaded, under its key in the index.

    That key is a blob's digest; an action result's is a hash, so its name follows.
    """
    subject = record.subject
    digest = subject.action if isinstance(subject, ActionKey) else subject
    fixed = _PENDING.pack(record.added, record.may_be_there, record.size_bytes, digest.size_bytes)
    if not isinstance(subject, ActionKey):
        return fixed
    return fixed + digest.key + subject.instance_name.encode("utf-8", "surrogatepass")


def unpack_pending(key: bytes, value: bytes) -> PendingRecord:
    """What is to be uploaded, by its key in the index and the value of :func:`pack_pending`.

    :raises DamagedRecord: it is none.
    """
    try:
        added, may_be_there, size_bytes, digest_bytes = _PENDING.unpack_from(value)
        if key[0] != ACTIONS:
            return PendingRecord(Digest(key, digest_bytes), size_bytes, added, may_be_there)
        name = value[_PENDING.size :]
        end = _KEY_BYTES[DigestFunction(name[0])]
        if len(name) < end:
            raise DamagedRecord("too short")
        instance_name = name[end:].decode("utf-8", "surrogatepass")
    except (struct.error, IndexError, ValueError) as error:
        raise DamagedRecord(str(error)) from None
    action = ActionKey(instance_name, Digest(name[:end], digest_bytes))
    return PendingRecord(action, size_bytes, added, may_be_there)
