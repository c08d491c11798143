"""Tests of gorego_tw.replication.unkept."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.digest import Digest
from gorego_tw.errors import ResourceExhausted
from gorego_tw.replication.unkept import MOST_UNKEPT, SMALL_BYTES, Places
from tests.storage.tiers import blob

DIGEST = blob(1)[0]._replace(size_bytes=SMALL_BYTES + 1)
SMALL: Digest = DIGEST._replace(size_bytes=SMALL_BYTES)


class PlacesTests(SynchronousTestCase):
    def test_full(self) -> None:
        """There are so many places, and one that is given back is free again."""
        places = Places()
        taken = [places.take(DIGEST) for _ in range(MOST_UNKEPT)]
        self.assertRaises(ResourceExhausted, places.take, DIGEST)
        taken[0].release()
        self.assertEqual((places.taken, places.refusals), (MOST_UNKEPT - 1, 1))
        places.take(DIGEST)

    def test_once(self) -> None:
        """A place is given back once, by hand or with the last who knows it."""
        places = Places()
        first, second = places.take(DIGEST), places.take(DIGEST)
        first.release()
        first.release()
        self.assertEqual(places.taken, 1)
        del first, second
        self.assertEqual(places.taken, 0)

    def test_small(self) -> None:
        """Small blobs take none."""
        places = Places(0)
        places.take(SMALL).release()
        self.assertEqual((places.taken, places.refusals), (0, 0))

    def test_message(self) -> None:
        """The message says which blob and what to do."""
        with self.assertRaises(ResourceExhausted) as caught:
            Places(0).take(DIGEST)
        message = caught.exception.message
        self.assertIn(str(DIGEST), message)
        self.assertIn("free disk space", message)
