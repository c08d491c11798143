"""/debug/stacks"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.telemetry.stacks import Frame
from gorego_tw.web.stacks import Stacks
from tests.web.requests import body, get


class StacksTests(SynchronousTestCase):
    def test_text(self) -> None:
        """Each thread has its name and its frames, the innermost last."""
        stack = (Frame("main", "a.py", 1), Frame("Class.method", "b.py", 2))
        text = body(get(Stacks(lambda: {"reactor (1)": stack}))).decode()
        self.assertEqual(
            text.splitlines(), ["reactor (1)", "  main  a.py:1", "  Class.method  b.py:2"]
        )

    def test_real(self) -> None:
        """Of this process it shows at least this test."""
        self.assertIn("StacksTests.test_real", body(get(Stacks())).decode())
