"""Tests of gorego_tw.telemetry.kept."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.telemetry.kept import MOST_METHODS, OF_EACH, SLOW_SECONDS, Kept, bucket_of
from gorego_tw.telemetry.span import LocalRoot
from tests.telemetry.recording import Recording


class KeptTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.recording = Recording()
        self.kept = Kept()

    def ended(self, name: str, seconds: float) -> LocalRoot:
        """A request that took so long."""
        root = LocalRoot(name, self.recording)
        root.ended = root.started + seconds
        return root

    def test_buckets(self) -> None:
        """A request is kept under the largest bound it has reached."""
        self.assertEqual(bucket_of(SLOW_SECONDS[0] * 0.99), "")
        for seconds in SLOW_SECONDS:
            self.assertEqual(bucket_of(seconds), f">= {seconds:g} s")
            self.assertEqual(bucket_of(seconds * 9.9), f">= {seconds:g} s")

    def test_apart(self) -> None:
        """Methods are kept apart, and so are those that were slow and those that failed."""
        self.kept.add(self.ended("a", 0.5), failed=False)
        self.kept.add(self.ended("a", 0.5), failed=True)
        self.kept.add(self.ended("b", 2), failed=False)
        rings = {name: sorted(ring) for name, ring in self.kept.rings().items()}
        self.assertEqual(rings, {"a": [">= 0.1 s", "failed"], "b": [">= 1 s"]})

    def test_the_last_ones(self) -> None:
        """Of each kind only the last ones are kept, the oldest first."""
        roots = [self.ended("a", 0.5) for _ in range(OF_EACH + 3)]
        for root in roots:
            self.kept.add(root, failed=False)
        (ring,) = self.kept.rings()["a"].values()
        self.assertEqual([request.root for request in ring], roots[3:])

    def test_bound(self) -> None:
        """However many names there are, memory is bounded: the rest share one."""
        for n in range(MOST_METHODS + 5):
            self.kept.add(self.ended(f"method {n}", 0.5), failed=False)
        self.assertEqual(len(self.kept.rings()), MOST_METHODS + 1)
        self.assertEqual(len(self.kept.rings()["other"][">= 0.1 s"]), 5)
