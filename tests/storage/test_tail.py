"""Tests of gorego_tw.storage.tail."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.storage.blob_writer import WRITE_CHUNK
from gorego_tw.storage.tail import TAIL_BYTES, Tail
from tests.storage.tiers import blob

SIZE = TAIL_BYTES + 3 * WRITE_CHUNK + 1000


class TailTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.data = blob(SIZE)[1]
        self.tail = Tail(SIZE)

    def append_all(self, size_bytes: int) -> None:
        """Append the blob in pieces of that size."""
        for start in range(0, SIZE, size_bytes):
            self.tail.append(self.data[start : start + size_bytes])

    def test_pieces(self) -> None:
        """What was appended is given out, whatever the sizes of the pieces were."""
        for size_bytes in (1000, 100_000, WRITE_CHUNK, 1024 * 1024, SIZE):
            self.tail = Tail(SIZE)
            self.append_all(size_bytes)
            found = bytearray()
            while (piece := self.tail.piece(len(found), SIZE)) is not None:
                found += piece
            self.assertEqual(found, self.data)

    def test_small_pieces_become_one(self) -> None:
        """Several small pieces are given out as one."""
        for _ in range(3):
            self.tail.append(b"abc")
        self.assertEqual(self.tail.piece(1, SIZE), b"bcabcabc")

    def test_room(self) -> None:
        """What was put into the room is taken as it is, among pieces that come in other ways."""
        for size_bytes in (1000, 100_000, WRITE_CHUNK):
            self.tail = Tail(SIZE)
            while room := self.tail.room():
                start = self.tail.size_bytes
                count = min(len(room), size_bytes)
                room[:count] = self.data[start : start + count]
                self.tail.append(room[:count])
                self.tail.append(self.data[start + count : start + count + 7])
            self.assertEqual(self.tail.size_bytes, SIZE)
            found = bytearray()
            while (piece := self.tail.piece(len(found), SIZE)) is not None:
                found += piece
            self.assertEqual(found, self.data)

    def test_end(self) -> None:
        """Nothing is given out beyond the end that is asked for, nor beyond what is there."""
        self.tail.append(b"abcdef")
        self.assertEqual(self.tail.piece(2, 4), b"cd")
        self.assertIsNone(self.tail.piece(6, SIZE))

    def test_shared(self) -> None:
        """Readers get the same memory, which they cannot write to."""
        self.tail.append(b"abcdef")
        first, second = self.tail.piece(0, SIZE), self.tail.piece(0, SIZE)
        assert first is not None
        assert second is not None
        self.assertIs(first.obj, second.obj)
        self.assertTrue(first.readonly)

    def test_copied(self) -> None:
        """The sender may use the memory of a piece again."""
        memory = bytearray(b"abc")
        self.tail.append(memoryview(memory))
        memory[:] = b"xyz"
        self.assertEqual(self.tail.piece(0, SIZE), b"abc")

    def test_kept_pieces(self) -> None:
        """A piece that was given out stays as it is, whatever is appended and let go."""
        self.tail.append(b"abc")
        piece = self.tail.piece(0, SIZE)
        self.tail.append(self.data[3:])
        self.tail.trim(SIZE)
        self.assertEqual(piece, b"abc")

    def test_full(self) -> None:
        """A segment is full when WRITE_CHUNK bytes or the last byte of the blob are in it."""
        self.tail.append(self.data[: WRITE_CHUNK - 1])
        self.assertEqual(self.tail.full_pieces(0), [])
        self.tail.append(self.data[WRITE_CHUNK - 1 :])
        self.assertEqual(self.tail.full_pieces(0)[0], self.data[:WRITE_CHUNK])
        self.assertEqual(b"".join(self.tail.full_pieces(0)), self.data)
        self.assertEqual(self.tail.full_pieces(SIZE - 1000), [self.data[-1000:]])
        self.assertEqual(self.tail.full_pieces(SIZE), [])

    def test_trim(self) -> None:
        """Only what is written, and further than TAIL_BYTES from the tip, is let go."""
        self.append_all(100_000)
        self.tail.trim(0)
        self.assertIsNotNone(self.tail.piece(0, SIZE))
        self.tail.trim(WRITE_CHUNK)
        self.assertIsNone(self.tail.piece(WRITE_CHUNK - 1, SIZE))
        self.assertIsNotNone(self.tail.piece(WRITE_CHUNK, SIZE))
        self.tail.trim(SIZE)
        self.assertIsNone(self.tail.piece(3 * WRITE_CHUNK - 1, SIZE))
        self.assertIsNotNone(self.tail.piece(SIZE - TAIL_BYTES, SIZE))
