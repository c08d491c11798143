"""Tests of gorego_tw.proxy.outage."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from gorego_tw.digest import DigestFunction, digest_of
from gorego_tw.errors import DeadlineExceeded, NotFound, PermissionDenied, StatusError, Unavailable
from gorego_tw.interfaces import ActionKey, IActionResults, StoredActionResult
from gorego_tw.proxy.outage import Outage
from gorego_tw.storage.memory import MemoryActionResults

KEY = ActionKey("", digest_of(b"action", DigestFunction.SHA256))
RESULT = StoredActionResult(b"result", ())


@implementer(IActionResults)
class Failing(MemoryActionResults):
    """Action results whose lookups fail."""

    def __init__(self, failure: StatusError) -> None:
        super().__init__()
        self.failure = failure

    async def get(self, key: ActionKey) -> StoredActionResult:
        """Fails."""
        raise self.failure


class OutageTests(SynchronousTestCase):
    def answer(self, failure: StatusError, *, as_absence: bool) -> StatusError:
        """What a client is told of that failure."""
        outage = Outage(Failing(failure), as_absence=as_absence)
        told = self.failureResultOf(outage.get(KEY), StatusError).value
        self.answered = outage.answered
        assert isinstance(told, StatusError)
        return told

    def test_as_absence(self) -> None:
        """Trouble is a miss that says why, where builds are to go on."""
        told = self.answer(Unavailable("backing cache: down"), as_absence=True)
        self.assertIsInstance(told, NotFound)
        self.assertEqual(told.message, "not in the local tier; backing cache: down")
        self.assertEqual(self.answered, 1)

    def test_as_trouble(self) -> None:
        """Trouble is UNAVAILABLE, whatever its code was, where builds are to wait."""
        told = self.answer(DeadlineExceeded("backing cache: slow"), as_absence=False)
        self.assertIsInstance(told, Unavailable)
        self.assertEqual((told.message, self.answered), ("backing cache: slow", 1))

    def test_no_trouble(self) -> None:
        """What is no trouble is told as it is."""
        self.assertIsInstance(
            self.answer(PermissionDenied("no"), as_absence=True), PermissionDenied
        )
        self.assertIsInstance(self.answer(NotFound("none"), as_absence=False), NotFound)
        self.assertEqual(self.answered, 0)

    def test_well(self) -> None:
        """Without trouble it is as if it were not there."""
        outage = Outage(MemoryActionResults(), as_absence=True)
        self.successResultOf(outage.put(KEY, RESULT))
        self.assertEqual(self.successResultOf(outage.get(KEY)), RESULT)
