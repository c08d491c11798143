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
        """A record in which anything is other than it was is none."""
        self.record.write(self.folder)
        path = self.folder / "checkpoint"
        good = path.read_bytes()
        for position in range(0, len(good) - 1, 7):
            path.write_bytes(good[:position] + b"~" + good[position + 1 :])
            self.assertIsNone(CheckpointRecord.read(self.folder), position)
            path.write_bytes(good[:position])
            self.assertIsNone(CheckpointRecord.read(self.folder), position)

    def test_cannot_be_written(self) -> None:
        """One that cannot be written leaves the one before."""
        self.record.write(self.folder)

        def fail(*_: object) -> None:
            raise OSError

        self.patch(os, "fsync", fail)
        self.assertRaises(OSError, self.record._replace(starts=3).write, self.folder)
        self.assertEqual(CheckpointRecord.read(self.folder), self.record)
