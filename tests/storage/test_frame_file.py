"""Tests of gorego_tw.storage.frame_file."""

from __future__ import annotations

import os
from pathlib import Path

import zstandard
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.digest import Digest, DigestFunction, digest_of
from gorego_tw.storage.frame_file import FrameFile, WrongContent
from gorego_tw.zstd.seekable import FRAME_BYTES, FrameCompressor
from tests.storage.compression import text
from tests.storage.tiers import blob, open_files

LARGE = 4 * FRAME_BYTES


class FrameFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.source = self.folder / "source"
        self.path = self.folder / "compressed"

    def file(self, digest: Digest, data: bytes) -> FrameFile:
        """What compresses the data, as that blob."""
        self.source.write_bytes(data)
        file = FrameFile(digest, str(self.source), str(self.path), FrameCompressor())
        self.addCleanup(file.close)
        return file

    def test_stream(self) -> None:
        """What is written is one zstd stream, of the length that is told, and is shorter."""
        for size in (20_000, FRAME_BYTES, LARGE + 1):
            digest, data = text(size)
            length = self.file(digest, data).make()
            written = self.path.read_bytes()
            self.assertEqual(length, len(written))
            self.assertLess(len(written), 0.6 * size)
            reader = zstandard.ZstdDecompressor().stream_reader(written, read_across_frames=True)
            self.assertEqual(reader.read(), data)

    def test_incompressible(self) -> None:
        """What its first frame shows to be incompressible is read no further, and nothing is written."""
        digest, data = blob(LARGE)
        read: list[int] = []
        preadv = os.preadv

        def noting(fd: int, into: list[memoryview], at: int, flags: int = 0) -> int:
            read.append(at)
            return preadv(fd, into, at, flags)

        self.patch(os, "preadv", noting)
        self.assertIsNone(self.file(digest, data).make())
        self.assertEqual((read, self.path.stat().st_size), ([0], 0))

    def test_incompressible_later(self) -> None:
        """What turns out so later is given up as well."""
        data = text(FRAME_BYTES)[1] + blob(4 * LARGE)[1]
        self.assertIsNone(self.file(digest_of(data, DigestFunction.SHA256), data).make())
        self.assertLess(self.path.stat().st_size, LARGE)

    def test_no_block_less(self) -> None:
        """What would take as many blocks of the disk stays as it is."""
        data = blob(6000)[1] + bytes(2000)
        self.assertIsNone(self.file(digest_of(data, DigestFunction.SHA256), data).make())

    def test_wrong_content(self) -> None:
        """Damage is found while it is compressed, so that it gets no checksum that is right."""
        digest, data = text(LARGE)
        for wrong in (b"x" + data[1:], data[:-1] + b"x", data[:-1], b""):
            self.assertRaises(WrongContent, self.file(digest, wrong).make)

    def test_not_wanted(self) -> None:
        """It can be broken off after any frame."""
        file = self.file(*text(LARGE))
        file.wanted = False
        self.assertIsNone(file.make())

    def test_short_reads_and_writes(self) -> None:
        """A system that reads and writes less than it is asked to is asked again."""
        pwrite, preadv = os.pwrite, os.preadv
        self.patch(os, "pwrite", lambda fd, data, at: pwrite(fd, data[:1000], at))
        self.patch(os, "preadv", lambda fd, into, *at: preadv(fd, [into[0][:1000]], *at))
        digest, data = text(LARGE)
        self.file(digest, data).make()
        reader = zstandard.ZstdDecompressor().stream_reader(
            self.path.read_bytes(), read_across_frames=True
        )
        self.assertEqual(reader.read(), data)

    def test_absent(self) -> None:
        """A file that is gone is an error of the system, and nothing stays open."""
        before = open_files()
        digest, data = text(LARGE)
        file = self.file(digest, data)
        self.source.unlink()
        self.assertRaises(FileNotFoundError, file.make)
        file.close()
        self.assertEqual(open_files(), before)

    def test_closed(self) -> None:
        """After it was closed nothing is open; it can be brought to stable storage before."""
        before = open_files()
        file = self.file(*text(LARGE))
        file.make()
        file.sync()
        file.close()
        file.close()
        self.assertEqual(open_files(), before)
