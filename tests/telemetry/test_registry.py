"""The metrics there are."""

from __future__ import annotations

from prometheus_client import generate_latest
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.telemetry.registry import make_registry


class RegistryTests(SynchronousTestCase):
    def test_the_process_is_in_it(self) -> None:
        """Memory, processor time and file descriptors of the process are told."""
        text = generate_latest(make_registry()).decode()
        for name in ("process_resident_memory_bytes", "process_open_fds", "python_info"):
            self.assertIn(f"\n{name}", text)

    def test_each_registry_is_its_own(self) -> None:
        """Two daemons in one process, as in tests, do not meet."""
        make_registry()
        make_registry()
