"""What is written down of a checkpoint."""

from __future__ import annotations

import os
from pathlib import Path

import lmdb
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.storage.checkpoint_record import CheckpointRecord
from gorego_tw.storage.lmdb_pages import newest_meta


class CheckpointRecordTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        lmdb.open(str(self.folder)).close()
        _, meta = newest_meta((self.folder / "data.mdb").read_bytes())
        self.record = CheckpointRecord("boot", True, 2, 1_800_000_000_123_456_789, meta)

    def test_written_and_read(self) -> None:
        """What was written last is read."""
        self.assertIsNone(CheckpointRecord.read(self.folder))
        for clean in (True, False):
            self.record._replace(clean=clean).write(self.folder)
            self.assertEqual(CheckpointRecord.read(self.folder), self.record._replace(clean=clean))

    def test_any_damage(self) -> None:
        """A record in which anything is other than it was is none, and the one before counts."""
        path = self.folder / "checkpoint"
        self.record._replace(starts=1).write(self.folder)
        self.record.write(self.folder)
        good = path.read_bytes()
        end = good.index(b"\n")
        for position in range(0, end, 7):
            path.write_bytes(good[:position] + b"~" + good[position + 1 :])
            found = CheckpointRecord.read(self.folder)
            self.assertEqual(found, self.record._replace(starts=1), position)
            path.write_bytes(good[:position] + b"~")
            self.assertIsNone(CheckpointRecord.read(self.folder), position)

    def test_takes_no_more_room(self) -> None:
        """However many are written, the file stays as long as it was."""
        for starts in range(10):
            self.record._replace(starts=starts).write(self.folder)
            self.assertEqual(
                CheckpointRecord.read(self.folder), self.record._replace(starts=starts)
            )
            self.assertEqual((self.folder / "checkpoint").stat().st_size, 8192)

    def test_cannot_be_written(self) -> None:
        """One that cannot be written leaves the one before."""
        self.record.write(self.folder)

        def fail(*_: object) -> None:
            raise OSError

        self.patch(os, "pwrite", fail)
        self.assertRaises(OSError, self.record._replace(starts=3).write, self.folder)
        self.assertEqual(CheckpointRecord.read(self.folder), self.record)
