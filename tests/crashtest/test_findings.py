"""What a run has seen."""

from __future__ import annotations

import contextlib
import io

from twisted.trial.unittest import SynchronousTestCase

from crashtest.findings import FAULTS, LOST, Findings


class FindingsTests(SynchronousTestCase):
    def test_counts_are_no_faults(self) -> None:
        """What was merely looked at is shown, and does no harm."""
        findings = Findings()
        findings.count("blobs checked", 3)
        self.assertEqual(findings.faults, 0)
        self.assertIn("blobs checked", "\n".join(findings.lines()))

    def test_faults(self) -> None:
        """A fault is told at once, and counted with all others."""
        findings, told = Findings(), io.StringIO()
        with contextlib.redirect_stdout(told):
            findings.fault(LOST, "a blob")
        self.assertEqual(findings.faults, 1)
        self.assertIn("a blob", told.getvalue())

    def test_what_must_be_zero_is_always_shown(self) -> None:
        """Who reads the end sees that it was looked for."""
        lines = "\n".join(Findings().lines())
        self.assertEqual([kind for kind in FAULTS if kind not in lines], [])
