"""Tests of gorego_tw.storage.stored_file."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.digest import DigestFunction, digest_of
from gorego_tw.storage.block_sums import are_of
from gorego_tw.storage.checked_body import CheckedBody
from gorego_tw.storage.compressed_body import CompressedBody
from gorego_tw.storage.disk_threads import NoDiskThreads
from gorego_tw.storage.records import COMPRESSED, FILE, BlobRecord
from gorego_tw.storage.stored_file import (
    DamagedFile,
    apparent_size,
    body_of,
    recognized_record,
    verified_record,
)
from gorego_tw.storage.verified_files import VerifiedFiles
from gorego_tw.zstd.seekable import FOOT_BYTES, pack_table
from tests.storage.compression import text
from tests.storage.test_compressed_body import make

SIZE = 600_000


class StoredFileTestCase(SynchronousTestCase):
    """Has a blob in both forms."""

    def setUp(self) -> None:
        self.digest, self.data = text(SIZE)
        folder = Path(self.mktemp())
        folder.mkdir()
        self.plain, self.compressed = folder / "plain", folder / "compressed"
        self.plain.write_bytes(self.data)
        self.length = make(self.digest, self.data, self.compressed)

    def open(self, path: Path) -> int:
        """The open file."""
        fd = os.open(path, os.O_RDONLY)
        self.addCleanup(os.close, fd)
        return fd


class BodyTests(StoredFileTestCase):
    def test_bodies(self) -> None:
        """The record says which form the file has."""
        for path, record, kind in (
            (self.plain, BlobRecord(0, FILE, SIZE, 0), CheckedBody),
            (self.compressed, BlobRecord(0, COMPRESSED, SIZE, 0, self.length), CompressedBody),
        ):
            fd = os.open(path, os.O_RDONLY)
            body = body_of(
                fd,
                record,
                digest=self.digest,
                threads=NoDiskThreads(),
                damaged=self.fail,
                may_pass=lambda _: False,
                verified=VerifiedFiles(Clock()),
            )
            self.assertIsInstance(body, kind)
            self.assertEqual(self.successResultOf(body.read_all()), self.data)


class VerificationTests(StoredFileTestCase):
    def test_both_forms(self) -> None:
        """Whatever the record says of the form, that of the file is found."""
        for record in (BlobRecord(7, FILE, SIZE, 1), BlobRecord(7, COMPRESSED, SIZE, 1, 5)):
            plain, sums = verified_record(self.open(self.plain), self.digest, record)
            self.assertTrue(are_of(sums, memoryview(self.data), 0))
            stamp = self.plain.stat().st_ctime_ns
            self.assertEqual(plain, BlobRecord(7, FILE, SIZE, stamp))
            compressed, sums = verified_record(self.open(self.compressed), self.digest, record)
            self.assertTrue(are_of(sums, memoryview(self.compressed.read_bytes()), 0))
            stamp = self.compressed.stat().st_ctime_ns
            self.assertEqual(compressed, BlobRecord(7, COMPRESSED, SIZE, stamp, self.length))

    def test_every_function(self) -> None:
        """The content is hashed with the function of its digest."""
        for function in DigestFunction:
            digest, _ = text(SIZE, function=function)
            record, _ = verified_record(
                self.open(self.compressed), digest, BlobRecord(0, FILE, SIZE, 0)
            )
            self.assertEqual(record.location, COMPRESSED)

    def test_damaged(self) -> None:
        """A file that is another blob in any form, cut, too long or empty is damaged."""
        other, _ = text(SIZE, 1)
        record = BlobRecord(0, FILE, SIZE, 0)
        for path in (self.plain, self.compressed):
            content = path.read_bytes()
            self.assertRaises(DamagedFile, verified_record, self.open(path), other, record)
            for wrong in (content[:-1], content + b"x" * SIZE, content[:20], b""):
                path.write_bytes(wrong)
                fd = self.open(path)
                self.assertRaises(DamagedFile, verified_record, fd, self.digest, record)


class RecognitionTests(StoredFileTestCase):
    """Files that no index knows."""

    def test_both_forms(self) -> None:
        """The form is found by the content alone, and with it the size of the blob."""
        plain = recognized_record(self.open(self.plain), self.digest.key, 7)
        stamp = self.plain.stat().st_ctime_ns
        self.assertEqual(plain, BlobRecord(7, FILE, SIZE, stamp))
        compressed = recognized_record(self.open(self.compressed), self.digest.key, 7)
        stamp = self.compressed.stat().st_ctime_ns
        self.assertEqual(compressed, BlobRecord(7, COMPRESSED, SIZE, stamp, self.length))

    def test_blob_that_looks_compressed(self) -> None:
        """A blob that is such a file itself is not expanded."""
        content = self.compressed.read_bytes()
        digest = digest_of(content, DigestFunction.SHA256)
        record = recognized_record(self.open(self.compressed), digest.key, 7)
        self.assertEqual((record.location, record.size_bytes), (FILE, self.length))

    def test_blob_that_announces_a_long_table(self) -> None:
        """Of a large file that ends as if most of it were a table nothing else is read to find out its size."""
        size = 64 << 20
        with self.plain.open("wb") as file:
            file.truncate(size - FOOT_BYTES)
            file.seek(0, os.SEEK_END)
            count = size // 16
            file.write(count.to_bytes(4, "little") + pack_table([1], 1)[4 - FOOT_BYTES :])
        read: list[int] = []
        pread = os.pread

        def noted(fd: int, length: int, offset: int) -> bytes:
            read.append(length)
            return pread(fd, length, offset)

        self.patch(os, "pread", noted)
        self.assertEqual(apparent_size(self.open(self.plain), size), size)
        self.assertEqual(read, [FOOT_BYTES])

    def test_damaged(self) -> None:
        """Whatever was done to either form, it is not taken for the blob."""
        for path in (self.plain, self.compressed):
            content = path.read_bytes()
            for wrong in (
                content[:-1],
                content[-9:],
                content[-40:],
                b"x" + content[1:],
                content + content[-9:],
                b"",
            ):
                path.write_bytes(wrong)
                fd = self.open(path)
                self.assertRaises(DamagedFile, recognized_record, fd, self.digest.key, 7)
