"""Tests of gorego_tw.proxy.trouble."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import (
    Aborted,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    StatusError,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from gorego_tw.proxy.trouble import is_trouble

PASSING = (Aborted, DeadlineExceeded, Internal, ResourceExhausted, StatusError, Unavailable)
LASTING = (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Unauthenticated,
    Unimplemented,
)


class TroubleTests(SynchronousTestCase):
    def test_what_may_pass(self) -> None:
        """A peer that cannot answer is in trouble."""
        self.assertEqual([cls for cls in PASSING if not is_trouble(cls("x"))], [])

    def test_what_will_not(self) -> None:
        """A peer that answers is not, whatever it says."""
        self.assertEqual([cls for cls in LASTING if is_trouble(cls("x"))], [])
