"""Tests of gorego_tw.storage.verified_files."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import DigestMismatch, Unavailable
from gorego_tw.storage.records import COMPRESSED, FILE, BlobRecord
from gorego_tw.storage.verified_files import FileVersion, VerifiedFiles, version_of
from gorego_tw.zstd.seekable import DamagedFrames

RECORD = BlobRecord(5, FILE, 100, 7)
FILE_1 = version_of(b"1", RECORD)


class VerifiedFilesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.verified = VerifiedFiles(Clock())
        self.verifying: list[Deferred[bytes]] = []

    def verify(self) -> Deferred[bytes]:
        self.verifying.append(Deferred())
        return self.verifying[-1]

    def learn(self) -> Deferred[bytes]:
        return Deferred.fromCoroutine(self.verified.learn(FILE_1, self.verify))

    def test_known(self) -> None:
        """What was found right is known by its checksums; however often it was used since."""
        self.assertIsNone(self.verified.sums(FILE_1))
        self.verified.put(FILE_1, b"sums")
        self.assertEqual(self.verified.sums(FILE_1), b"sums")
        used = version_of(b"1", RECORD._replace(last_used=9))
        self.assertEqual(self.verified.sums(used), b"sums")

    def test_another_file(self) -> None:
        """Nothing is known of a file that was changed, or compressed, since; what is learnt of it replaces the rest."""
        self.verified.put(FILE_1, b"sums")
        for record in (
            RECORD._replace(stamp=8),
            RECORD._replace(location=COMPRESSED, compressed_bytes=50),
        ):
            self.assertIsNone(self.verified.sums(version_of(b"1", record)))
        changed = version_of(b"1", RECORD._replace(stamp=8))
        self.verified.put(changed, b"others")
        self.assertEqual(self.verified.sums(changed), b"others")
        self.assertIsNone(self.verified.sums(FILE_1))

    def test_forgotten(self) -> None:
        """Of what was written since then nothing is known until it is found right again; most of the rest stays."""
        files = [version_of(b"%d" % n, RECORD._replace(stamp=250 + n)) for n in range(6)]
        for file in files:
            self.verified.put(file, b"sums")
        for first in (4, 5, 3):
            self.verified.forget(250 + first)
            self.assertEqual(self.known(files), list(range(min(first, 4))))
        self.verified.put(files[5], b"sums")
        self.assertEqual(self.known(files), [0, 1, 2, 5])

    def test_forgotten_and_bounded(self) -> None:
        """What was found right after others were forgotten is known however much of it there is."""
        verified = VerifiedFiles(Clock(), most_bytes=20_000)
        verified.forget(0)
        for number in range(1000):
            verified.put(version_of(b"%d" % number, RECORD), b"sums")
            before = version_of(b"%d" % max(0, number - 10), RECORD)
            self.assertEqual(verified.sums(before), b"sums")

    def known(self, files: list[FileVersion]) -> list[int]:
        """Which of them are known."""
        return [n for n, file in enumerate(files) if self.verified.sums(file) is not None]

    def test_bounded(self) -> None:
        """What was not asked for goes when there is too much, the last one never; what is asked for stays."""
        verified = VerifiedFiles(Clock(), most_bytes=20_000)
        for number in range(1000):
            verified.put(version_of(b"%d" % number, RECORD), b"sums")
            self.assertEqual(verified.sums(version_of(b"0", RECORD)), b"sums")
        kept = [n for n in range(1000) if verified.sums(version_of(b"%d" % n, RECORD)) is not None]
        self.assertLess(len(kept), 100)
        self.assertIn(999, kept)

    def test_large_one(self) -> None:
        """A file whose checksums are more than all may take is known until the next one comes."""
        verified = VerifiedFiles(Clock(), most_bytes=0)
        verified.put(FILE_1, b"sums")
        self.assertEqual(verified.sums(FILE_1), b"sums")
        verified.put(version_of(b"2", RECORD), b"sums")
        self.assertIsNone(verified.sums(FILE_1))

    def test_learnt_once(self) -> None:
        """Who asks while it is found out waits for that; if it fails, the next one finds it out."""
        first, second, third = (self.learn() for _ in range(3))
        self.assertEqual(len(self.verifying), 1)
        self.verifying[0].errback(Unavailable("not now"))
        self.failureResultOf(first, Unavailable)
        self.assertEqual(len(self.verifying), 2)
        self.verifying[1].callback(b"sums")
        self.assertEqual([self.successResultOf(each) for each in (second, third)], [b"sums"] * 2)
        self.assertEqual(self.successResultOf(self.learn()), b"sums")
        self.assertEqual(len(self.verifying), 2)

    def test_cancelled(self) -> None:
        """Who goes away while it waits leaves the others waiting."""
        first, second = self.learn(), self.learn()
        second.cancel()
        self.failureResultOf(second, CancelledError)
        self.verifying[0].callback(b"sums")
        self.assertEqual(self.successResultOf(first), b"sums")

    def test_damaged(self) -> None:
        """Who waits for a file that turns out not to be the blob is told so, and nothing is hashed once more."""
        for damage in (DigestMismatch("wrong hash"), DamagedFrames("wrong checksum")):
            first, *others = [self.learn() for _ in range(3)]
            self.verifying.pop().errback(damage)
            for learning in (first, *others):
                self.failureResultOf(learning, type(damage))
            self.assertEqual(self.verifying, [])
            last = self.learn()
            self.verifying.pop().callback(b"sums")
            self.assertEqual(self.successResultOf(last), b"sums")
            self.verified.forget(0)
