"""Blobs that are here and should be in the backing cache too."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.proxy.here_alone import HereAlone
from tests.storage.tiers import blob

DIGESTS = [blob(size)[0] for size in range(1, 6)]


class HereAloneTests(SynchronousTestCase):
    def test_joined(self) -> None:
        """They are among what is missing, in the order of the question, each once."""
        alone = HereAlone()
        first, second, third, fourth, _ = DIGESTS
        self.assertEqual(alone.joined([second], DIGESTS), [second])
        alone.add(third)
        alone.add(first)
        asked = [fourth, third, second, third, first]
        self.assertEqual(alone.joined([second], asked), [third, second, first])
        self.assertEqual(alone.joined([second], [second, fourth]), [second])
        alone.discard(DIGESTS)
        self.assertEqual(alone.joined([], DIGESTS), [])

    def test_bound(self) -> None:
        """The oldest are forgotten."""
        alone = HereAlone(entries=3)
        for digest in DIGESTS:
            alone.add(digest)
        self.assertEqual(alone.joined([], DIGESTS), DIGESTS[2:])
