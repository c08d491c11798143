"""Tests of gorego_tw.telemetry.process_collector."""

from __future__ import annotations

import os
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client import ProcessCollector as Theirs
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.telemetry.process_collector import ProcessCollector, open_files


def values(collector: Theirs | ProcessCollector) -> dict[str, float]:
    """What it tells, by name."""
    registry = CollectorRegistry()
    registry.register(collector)
    return {sample.name: sample.value for family in registry.collect() for sample in family.samples}


class ProcessCollectorTests(SynchronousTestCase):
    def test_as_any_process(self) -> None:
        """It tells what prometheus-client tells, under the same names. (Which has two files open to find them out.)"""
        ours, theirs = values(ProcessCollector()), values(Theirs(registry=None))
        self.assertEqual(ours.keys(), theirs.keys())
        for name in theirs:
            differs = abs(ours[name] - theirs[name])
            self.assertLessEqual(differs, max(2.0, theirs[name] * 0.05), name)

    def test_open_files(self) -> None:
        """A file that is opened counts, whether the system counts them or not."""
        for folder in (Path("/proc/self/fd"), Path(self.counted_by_hand())):
            before = open_files(folder)
            if folder.parts[1] == "proc":
                fd = os.open("/", os.O_RDONLY)
                self.addCleanup(os.close, fd)
            else:
                (folder / "9").touch()
            self.assertEqual(open_files(folder), before + 1)

    def counted_by_hand(self) -> str:
        """A folder that has a size of its own, as on an older system it has none."""
        folder = Path(self.mktemp())
        folder.mkdir()
        real = Path.stat
        self.patch(
            Path,
            "stat",
            lambda path, **how: os.stat_result((0,) * 10) if path == folder else real(path, **how),
        )
        return str(folder)

    def test_elsewhere(self) -> None:
        """Where there is no /proc there is nothing to tell."""
        self.assertEqual(values(ProcessCollector(Path(self.mktemp()))), {})
