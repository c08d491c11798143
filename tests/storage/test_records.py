"""The bytes of the index's values."""

from __future__ import annotations

import struct
import sys
import zlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.digest import Digest, DigestFunction
from gorego_tw.interfaces import ActionKey, StoredActionResult
from gorego_tw.storage.records import (
    COMPRESSED,
    FILE,
    INLINE,
    BlobRecord,
    DamagedRecord,
    PendingRecord,
    Tally,
    damage_of_action,
    disk_bytes,
    pack_action,
    pack_blob,
    pack_pending,
    pack_tally,
    renewed,
    unpack_action,
    unpack_blob,
    unpack_last_used,
    unpack_pending,
    unpack_size,
    unpack_tally,
)

sizes = st.integers(0, 2**63 - 1)
digests = st.sampled_from(DigestFunction).flatmap(
    lambda function: st.builds(
        lambda raw, size: Digest(bytes([function]) + raw, size),
        st.binary(min_size=function.hash_bytes, max_size=function.hash_bytes),
        sizes,
    )
)
results = st.builds(StoredActionResult, st.binary(), st.lists(digests, max_size=20).map(tuple))
seconds = st.integers(0, 2**32 - 1)
moments = st.floats(0, 2**33)
blobs = st.one_of(
    st.builds(BlobRecord, seconds, st.sampled_from((INLINE, FILE)), sizes, sizes, st.just(0)),
    st.builds(BlobRecord, seconds, st.just(COMPRESSED), sizes, sizes, sizes),
)
actions = st.builds(ActionKey, st.text(st.characters(exclude_categories=())), digests)


KEY = b"\1" + bytes(range(32))


class RecordTests(SynchronousTestCase):
    @given(blobs)
    def test_blobs(self, record: BlobRecord) -> None:
        """The record of a blob comes back as it was packed."""
        packed = pack_blob(KEY, record)
        self.assertEqual(unpack_blob(KEY, packed), record)
        self.assertEqual(unpack_size(packed)[0], record.size_bytes)
        self.assertEqual(unpack_last_used(packed), record.last_used)

    @given(results, seconds)
    def test_actions(self, result: StoredActionResult, last_used: int) -> None:
        """An action result comes back as it was packed, with any mixture of functions."""
        packed = pack_action(result, last_used)
        self.assertEqual(unpack_action(packed), result)
        self.assertEqual(unpack_last_used(packed), last_used)

    @given(results, st.data())
    def test_damaged_actions(self, result: StoredActionResult, data: st.DataObject) -> None:
        """Any other byte after the last use is found."""
        packed = bytearray(pack_action(result, 1))
        position = data.draw(st.integers(4, len(packed) - 1))
        packed[position] ^= data.draw(st.integers(1, 255))
        self.assertRaises(DamagedRecord, unpack_action, bytes(packed))

    @given(st.integers(0, 4), st.integers(0, 66), st.booleans(), st.binary(max_size=200))
    def test_made_up_actions(self, count: int, width: int, mixed: bool, rest: bytes) -> None:
        """What has its checksum and another form is told from an action result, or all its references can be keys."""
        covered = struct.pack("<IB?", count, width, mixed) + rest
        try:
            result = unpack_action(struct.pack("<II", 1, zlib.crc32(covered)) + covered)
        except DamagedRecord:
            return
        self.assertEqual(len(result.references), count)
        for digest in result.references:
            self.assertIn(len(digest.key) - 1, {function.hash_bytes for function in DigestFunction})

    @given(st.binary(max_size=64))
    def test_garbage(self, garbage: bytes) -> None:
        """What is no record is told from one, whatever it is."""
        self.assertRaises(DamagedRecord, unpack_action, garbage)
        if len(garbage) not in {21, 29}:
            self.assertRaises(DamagedRecord, unpack_blob, KEY, garbage)
        if len(garbage) != 16:
            self.assertRaises(DamagedRecord, unpack_tally, garbage)

    @given(blobs, st.data())
    def test_damaged_blobs(self, record: BlobRecord, data: st.DataObject) -> None:
        """Any other byte after the last use is found, and so is a record of another blob."""
        packed = bytearray(pack_blob(KEY, record))
        other = bytearray(KEY)
        other[data.draw(st.integers(1, len(KEY) - 1))] ^= 4
        self.assertRaises(DamagedRecord, unpack_blob, bytes(other), bytes(packed))
        packed[data.draw(st.integers(4, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
        self.assertRaises(DamagedRecord, unpack_blob, KEY, bytes(packed))

    @given(st.binary(max_size=40))
    def test_keys_of_no_blob(self, key: bytes) -> None:
        """A key that is too short, or of no function, has no record."""
        packed = pack_blob(key, BlobRecord(1, FILE, 5000, 2))
        if not key or key[0] > 9 or len(key) < 21:
            self.assertRaises(DamagedRecord, unpack_blob, key, packed)

    def test_looked_at(self) -> None:
        """Of an action result that was looked for damage nothing stays in memory."""
        packed = pack_action(StoredActionResult(b"data", ()), 1)
        before = sys.getrefcount(packed)
        self.assertIsNone(damage_of_action(packed))
        self.assertEqual(damage_of_action(packed[:-1]), "wrong checksum")
        self.assertEqual(sys.getrefcount(packed), before)

    def test_older_records(self) -> None:
        """Those of folders of an older form have no checksum, and are taken if they are possible."""
        for record in (BlobRecord(1, FILE, 5000, 2), BlobRecord(1, COMPRESSED, 5000, 2, 4000)):
            older = pack_blob(KEY, record)[:-4]
            self.assertEqual(unpack_blob(KEY, older), record)
            other = bytearray(older)
            other[4] = FILE if record.location == COMPRESSED else COMPRESSED
            self.assertRaises(DamagedRecord, unpack_blob, KEY, bytes(other))
            too_large = pack_blob(KEY, record._replace(size_bytes=1 << 48))[:-4]
            self.assertRaises(DamagedRecord, unpack_blob, KEY, too_large)

    @given(blobs)
    def test_stored_bytes(self, record: BlobRecord) -> None:
        """What is stored of a blob is its bytes, or what they were compressed to."""
        expected = record.compressed_bytes or record.size_bytes
        self.assertEqual(record.stored_bytes, expected)

    @given(blobs, seconds)
    def test_renewed(self, record: BlobRecord, last_used: int) -> None:
        """A renewed record is the same with another last use."""
        expected = record._replace(last_used=last_used)
        found = renewed(pack_blob(KEY, record), last_used)
        self.assertEqual(unpack_blob(KEY, found), expected)

    @given(st.builds(PendingRecord, digests, sizes, moments, st.booleans()))
    def test_pending_blobs(self, record: PendingRecord) -> None:
        """What is to be uploaded comes back as it was packed, a blob by its key."""
        assert isinstance(record.subject, Digest)
        self.assertEqual(unpack_pending(record.subject.key, pack_pending(record)), record)
        self.assertFalse(record.is_action)

    @given(st.builds(PendingRecord, actions, sizes, moments, st.booleans()))
    def test_pending_actions(self, record: PendingRecord) -> None:
        """So does an action result, whatever its instance name is; half a record is none."""
        packed = pack_pending(record)
        self.assertEqual(unpack_pending(b"\0" + bytes(32), packed), record)
        self.assertTrue(record.is_action)
        self.assertRaises(DamagedRecord, unpack_pending, b"\0", packed[:40])
        self.assertRaises(DamagedRecord, unpack_pending, b"\0", packed[:20])

    def test_pending_names(self) -> None:
        """What is to be uploaded has a name for the log."""
        digest = Digest(b"\1" + bytes(32), 7)
        name = f"{'00' * 32}/7"
        self.assertEqual(str(PendingRecord(digest, 7, 0)), f"blob {name}")
        action = PendingRecord(ActionKey("", digest), 7, 0)
        self.assertEqual(str(action), f"result of the action {name}")

    def test_tallies(self) -> None:
        """Tallies come back as they were packed, and add up."""
        tally = Tally(1, 2).plus(Tally(3, -1))
        packed = pack_tally(tally)
        self.assertEqual(unpack_tally(packed), (4, 1))
        self.assertEqual(unpack_tally(packed[:16]), (4, 1))  # as in an older folder
        for position in range(len(packed)):
            wrong = bytearray(packed)
            wrong[position] ^= 1
            self.assertRaises(DamagedRecord, unpack_tally, bytes(wrong))
        self.assertRaises(DamagedRecord, unpack_tally, pack_tally(Tally(1, -1)))

    def test_disk_bytes(self) -> None:
        """A file takes whole blocks."""
        self.assertEqual([disk_bytes(n) for n in (0, 1, 4096, 4097)], [0, 4096, 4096, 8192])
