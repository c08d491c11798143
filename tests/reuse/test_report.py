"""Tests of gorego_tw.reuse.report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from twisted.application.service import IService
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from gorego_tw.reuse.report import FILE_NAME, WRITE_SECONDS, ReuseReport
from gorego_tw.reuse.sketch import HALF_LIFE_SECONDS, Sample, Sketch
from gorego_tw.storage.disk_threads import NoDiskThreads
from tests.reuse.test_sketch import CAPACITIES, digests

LIMIT = 10_000


class ReuseReportTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.clock = Clock()
        self.clock.advance(1_000_000)
        self.here: dict[bytes, int] = {}
        self.start()

    def start(self, limit_bytes: int = LIMIT) -> None:
        """A process begins."""
        self.sketch = Sketch(CAPACITIES, self.here.get, 1.0)
        self.report = ReuseReport(
            self.sketch, self.folder, limit_bytes, NoDiskThreads(), self.clock
        )
        self.report.startService()

    def stop(self) -> None:
        """It ends as it should."""
        self.successResultOf(self.report.stopService())

    def read(self) -> Any:
        """What the file says."""
        return json.loads((self.folder / FILE_NAME).read_text())

    def work(self) -> None:
        """Three blobs are stored, one of them and one other are looked up."""
        blobs = digests(3)
        self.here |= {digest.key: 1000 for digest in blobs}
        self.sketch.use(blobs)
        self.sketch.look_up_all([blobs[0], *digests(1, seed=2)])

    def test_interface(self) -> None:
        """It is a service."""
        verifyObject(IService, self.report)
        self.stop()

    def test_contents(self) -> None:
        """At each checkpoint the file says what is estimated of which limit."""
        self.work()
        self.clock.advance(WRITE_SECONDS)
        report = self.read()
        self.assertEqual(report["version"], 1)
        self.assertEqual(report["updated"], 1_000_000 + WRITE_SECONDS)
        self.assertEqual(report["limit_bytes"], LIMIT)
        self.assertEqual(
            report["limits"][0],
            {"limit": 0.5, "limit_bytes": 5000, "action_result": None, "blob": 0.5},
        )
        self.assertEqual([limit["limit"] for limit in report["limits"]], [0.5, 1, 1.5, 2])
        self.assertEqual(report["lookups"], {"action_result": 0, "blob": 2})
        self.assertEqual(report["samples"], 3)
        self.assertEqual(
            report["stack"],
            [[key.hex(), *sample] for key, sample in self.sketch.samples()],
        )
        self.assertEqual([path.name for path in self.folder.iterdir()], [FILE_NAME])
        self.stop()

    def test_restart(self) -> None:
        """The next process goes on with what was counted, and with the sample."""
        self.work()
        self.stop()
        samples = self.sketch.samples()
        self.start()
        self.assertEqual(self.sketch.samples(), samples)
        self.assertEqual(self.sketch.blobs.hit_ratios(), [0.5] * 4)
        self.stop()

    def test_killed(self) -> None:
        """After a kill both the counts and the sample are those that were written last."""
        self.work()
        self.clock.advance(WRITE_SECONDS)
        samples = self.sketch.samples()
        self.sketch.use(digests(5, seed=3))
        self.sketch.look_up_all(digests(5, seed=3))
        self.start()
        self.assertEqual(self.sketch.blobs.lookups, 2)
        self.assertEqual(self.sketch.samples(), samples)
        self.stop()

    def test_evicted_before_a_kill(self) -> None:
        """What was evicted before a kill is a hit at those limits at which it would be here."""
        blobs = digests(12)
        self.here |= {digest.key: 1000 for digest in blobs}
        self.sketch.use(blobs)
        self.clock.advance(WRITE_SECONDS)
        self.start()
        del self.here[blobs[0].key]
        self.sketch.look_up(blobs[0])
        self.assertEqual(self.sketch.blobs.hit_ratios(), [0, 0, 1, 1])
        self.stop()

    def test_large_sample(self) -> None:
        """A sample that is written in several pieces is whole afterwards."""
        self.sketch.restore(1.0, [(digest.key, Sample(1, 1)) for digest in digests(600)])
        self.stop()
        self.assertEqual(
            [bytes.fromhex(key) for key, _, _ in self.read()["stack"]],
            [digest.key for digest in digests(600)],
        )

    def test_time_passes(self) -> None:
        """Lookups count less as they get older, also while no process runs."""
        self.work()
        self.stop()
        self.clock.advance(HALF_LIFE_SECONDS)
        self.start()
        self.assertAlmostEqual(self.sketch.blobs.lookups, 1)
        self.clock.advance(HALF_LIFE_SECONDS)
        self.assertAlmostEqual(self.sketch.blobs.lookups, 0.5, places=3)
        self.stop()

    def test_another_limit(self) -> None:
        """With another limit the counts begin anew, and the sample is gone on with."""
        self.work()
        self.stop()
        self.start(2 * LIMIT)
        self.assertEqual((self.sketch.blobs.lookups, len(self.sketch)), (0, 3))
        self.stop()

    def test_damaged(self) -> None:
        """From a file that is damaged or none of ours nothing is taken, and it is replaced."""
        self.work()
        self.stop()
        whole = self.read()
        for damage in (
            "",
            "[]",
            "{}",
            json.dumps(whole)[:300],
            json.dumps(whole | {"version": 2}),
            json.dumps(whole | {"chance": 0}),
            json.dumps({name: value for name, value in whole.items() if name != "stack"}),
            json.dumps(whole | {"stack": [["zz", 1, 1]]}),
            json.dumps(whole | {"misses": {"action_result": [], "blob": []}}),
            json.dumps(whole | {"lookups": 7}),
        ):
            (self.folder / FILE_NAME).write_text(damage)
            self.start()
            self.assertEqual((self.sketch.blobs.lookups, len(self.sketch)), (0, 0), damage)
            self.stop()
            self.assertEqual(self.read()["version"], 1)

    def test_no_room(self) -> None:
        """A file that cannot be written is a failure that is counted, and no reason not to stop."""
        self.folder.rename(self.mktemp())
        self.clock.advance(WRITE_SECONDS)
        self.assertEqual(self.report.failures, 1)
        self.stop()
