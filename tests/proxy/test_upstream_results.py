"""Tests of gorego_tw.proxy.upstream_results."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from gorego_tw.digest import DigestFunction, digest_of
from gorego_tw.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    StatusError,
    Unavailable,
)
from gorego_tw.interfaces import ActionKey, IActionResults, StoredActionResult
from gorego_tw.proxy.upstream_results import ReferencedResults
from tests.proxy.fakes import FakeUpstreamResults

KEY = ActionKey("", digest_of(b"action", DigestFunction.SHA256))
OUTPUT = digest_of(b"output", DigestFunction.SHA256)


class ReferencedResultsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.upstream = FakeUpstreamResults()
        self.upstream.results[KEY] = b"result"
        self.failure: StatusError | None = None
        self.results = ReferencedResults(self.upstream, self.normalised)

    async def normalised(self, key: ActionKey, data: bytes) -> StoredActionResult:
        """What is kept of a result."""
        if self.failure is not None:
            raise self.failure
        self.assertEqual((key, data), (KEY, b"result"))
        return StoredActionResult(b"normalised", (OUTPUT,))

    def test_interface(self) -> None:
        """It is a store of action results."""
        verifyObject(IActionResults, self.results)

    def test_get(self) -> None:
        """A result comes normalised, with what it refers to."""
        result = self.successResultOf(self.results.get(KEY))
        self.assertEqual(result, StoredActionResult(b"normalised", (OUTPUT,)))

    def test_put(self) -> None:
        """A result is kept without."""
        self.successResultOf(self.results.put(KEY, StoredActionResult(b"other", (OUTPUT,))))
        self.assertEqual(self.upstream.results[KEY], b"other")

    def test_no_sense(self) -> None:
        """A result that makes no sense, or whose Tree is gone, is none."""
        failures = (
            InvalidArgument("malformed"),
            FailedPrecondition("no Tree"),
            ResourceExhausted("no room"),
        )
        for failure in failures:
            self.failure = failure
            told = self.failureResultOf(self.results.get(KEY), NotFound).value
            self.assertIn(failure.message, told.message)

    def test_trouble(self) -> None:
        """Trouble while the Trees are read is trouble."""
        self.failure = Unavailable("backing cache: down")
        self.failureResultOf(self.results.get(KEY), Unavailable)
