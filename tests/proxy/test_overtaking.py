"""Tests of gorego_tw.proxy.overtaking."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.digest import DigestFunction, digest_of
from gorego_tw.interfaces import ActionKey
from gorego_tw.proxy.overtaking import Overtaking

KEY, OTHER = (ActionKey(name, digest_of(b"action", DigestFunction.SHA256)) for name in ("", "x"))


class OvertakingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.overtaking = Overtaking()

    def test_nothing_written(self) -> None:
        """What nobody writes, or only others, is not overtaken; nor is what is asked for afterwards."""
        with self.overtaking.asking(KEY) as asking, self.overtaking.writing(OTHER):
            self.assertFalse(asking.overtaken)
        with self.overtaking.writing(KEY):
            pass
        with self.overtaking.asking(KEY) as asking:
            self.assertFalse(asking.overtaken)

    def test_written_meanwhile(self) -> None:
        """A write that began or ended meanwhile has overtaken every question, failed or not."""
        with self.overtaking.asking(KEY) as first, self.overtaking.asking(KEY) as second:
            with self.overtaking.writing(KEY):
                self.assertTrue(first.overtaken)
            self.assertTrue(second.overtaken)
        writing = self.overtaking.writing(KEY)
        writing.__enter__()
        with self.overtaking.asking(KEY) as asking:
            self.assertTrue(asking.overtaken)
            writing.__exit__(None, None, None)
            self.assertTrue(asking.overtaken)

    def test_nothing_is_kept(self) -> None:
        """Of what is over nothing is known."""
        with self.overtaking.asking(KEY), self.overtaking.writing(KEY):
            pass
        self.assertEqual((self.overtaking._asking, dict(self.overtaking._writing)), ({}, {}))
