"""Tests of gorego_tw.storage.content."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import DigestMismatch
from gorego_tw.storage.block_sums import are_of
from gorego_tw.storage.content import Content
from tests.storage.tiers import blob

SIZE = 200_000


class ContentTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.digest, self.data = blob(SIZE)
        self.path = Path(self.mktemp())

    def content(self, data: bytes) -> Content:
        """A file with that in it."""
        self.path.write_bytes(data)
        fd = os.open(self.path, os.O_RDONLY)
        self.addCleanup(os.close, fd)
        return Content(fd, self.digest, SIZE, self.digest.function.hasher())

    def test_taken(self) -> None:
        """It comes piece by piece, and is whole when the last one was right."""
        content, memory, found = self.content(self.data), memoryview(bytearray(70_000)), b""
        while not content.is_whole:
            found += memory[: content.take(memory)]
        self.assertEqual(found, self.data)
        self.assertTrue(are_of(content.sums(), memoryview(self.data), 0))

    def test_taken_for_nobody(self) -> None:
        """All of it has the same checksums, those of what is behind it with it."""
        content = self.content(self.data)
        self.assertEqual(content.take_some(), SIZE)
        self.assertTrue(content.is_whole)
        self.assertTrue(are_of(content.sums(b"rest"), memoryview(self.data + b"rest"), 0))

    def test_wrong(self) -> None:
        """Another bit is a mismatch with the last piece, however it is taken."""
        content = self.content(bytes([self.data[0] ^ 1]) + self.data[1:])
        memory = memoryview(bytearray(SIZE - 1))
        self.assertEqual(content.take(memory), SIZE - 1)
        self.assertRaises(DigestMismatch, content.take, memory)
        self.assertRaises(DigestMismatch, self.content(self.data[::-1]).take_some)

    def test_nothing(self) -> None:
        """Nothing at all is a mismatch, too."""
        fd = os.open(os.devnull, os.O_RDONLY)
        self.addCleanup(os.close, fd)
        content = Content(fd, self.digest, 0, self.digest.function.hasher())
        self.assertRaises(DigestMismatch, content.take_some)

    def test_short(self) -> None:
        """A file that ends too early ends so, or is a mismatch for who wants all."""
        content, memory = self.content(self.data[:100]), memoryview(bytearray(SIZE))
        self.assertEqual([content.take(memory) for _ in range(2)], [100, 0])
        self.assertRaises(DigestMismatch, self.content(self.data[:100]).take_some)

    def test_some_of_much(self) -> None:
        """Of a large file only some is taken in at once."""
        self.path.touch()
        os.truncate(self.path, 1 << 30)
        fd = os.open(self.path, os.O_RDONLY)
        self.addCleanup(os.close, fd)
        content = Content(fd, self.digest, 1 << 30, self.digest.function.hasher())
        taken = [content.take_some() for _ in range(3)]
        self.assertEqual(content.taken_bytes, sum(taken))
        self.assertTrue(all(0 < count <= 1 << 20 for count in taken))
