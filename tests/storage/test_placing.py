"""The note of which file is being moved into place."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.digest import DigestFunction, digest_of
from gorego_tw.storage.placing import Placing


class PlacingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.placing = Placing(self.path)

    def test_keys(self) -> None:
        """The last key is there, of whatever digest function, and for another process too."""
        for function in DigestFunction:
            key = digest_of(b"some blob", function).key
            self.placing.note(key)
            self.assertEqual(Placing(self.path).noted(), key)

    def test_none(self) -> None:
        """Where nothing was noted, or not all of it, there is nothing."""
        self.assertIsNone(self.placing.noted())
        for written in (b"", b"\1", bytes(200)):
            self.path.write_bytes(written)
            self.assertIsNone(self.placing.noted())
