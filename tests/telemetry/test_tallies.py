"""Tests of gorego_tw.telemetry.tallies."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.telemetry.tallies import COUNTED, UNCOUNTED
from tests.telemetry.counted import Counted


class TalliesTests(SynchronousTestCase):
    def test_methods(self) -> None:
        """Each method that looks for something or writes it is counted in each tier, from the start."""
        counted = Counted("local", "backing")
        for method, operation in COUNTED.items():
            tally = counted.of(method)
            self.assertEqual(set(tally.tiers), {f"{operation}.local", f"{operation}.backing"})
            self.assertIs(counted.of(method), tally)

    def test_other_methods(self) -> None:
        """Of others it is counted how long their calls take, and nothing else."""
        counted = Counted()
        tally = counted.of("GetCapabilities")
        self.assertEqual(tally.tiers, {})
        tally.calls.note(0.5)
        found = counted.values("gorego_grpc_request_seconds_count")
        self.assertEqual(found, {"GetCapabilities": 1})

    def test_sum(self) -> None:
        """What came of an operation is told of all its methods, and of one tier."""
        counted = Counted()
        for method in ("Read", "BatchReadBlobs", "GetTree", "Write"):
            for tier in counted.of(method).tiers.values():
                tier.hit += 1
        self.assertEqual(counted.sum(["get"], "local", "hit"), 3)
        self.assertEqual(counted.sum(["get", "put"], "backing", "hit"), 4)
        self.assertEqual(counted.sum(["get"], "local", "miss"), 0)

    def test_settle(self) -> None:
        """What was noted anywhere is counted when it is time."""
        counted = Counted()
        tally = counted.of("Read")
        noted = [tally.calls, tally.sizes, *(tier.latency for tier in tally.tiers.values())]
        noted.append(counted.of("GetCapabilities").calls)
        for distribution in noted:
            distribution.note(1.0)
        self.successResultOf(counted.settle())
        self.assertEqual([distribution._values for distribution in noted], [[]] * 5)
        self.assertEqual([distribution.count for distribution in noted], [1] * 5)

    def test_uncounted(self) -> None:
        """What is no call of a method that is counted is counted nowhere."""
        self.assertEqual((UNCOUNTED.operation, UNCOUNTED.tiers), (None, {}))
