"""What errors of the system mean."""

from __future__ import annotations

import errno
import os

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import Code, StatusError
from gorego_tw.storage.failures import telling


class FailureTests(SynchronousTestCase):
    def told(self, error: OSError) -> StatusError:
        def fail() -> None:
            with telling():
                raise error

        told: StatusError = self.assertRaises(StatusError, fail)
        return told

    def test_codes(self) -> None:
        """No room is RESOURCE_EXHAUSTED with the time to try again, all else UNAVAILABLE."""
        for number, code in (
            (errno.ENOSPC, Code.RESOURCE_EXHAUSTED),
            (errno.EDQUOT, Code.RESOURCE_EXHAUSTED),
            (errno.EFBIG, Code.RESOURCE_EXHAUSTED),
            (errno.EIO, Code.UNAVAILABLE),
            (errno.EMFILE, Code.UNAVAILABLE),
            (errno.EROFS, Code.UNAVAILABLE),
        ):
            told = self.told(OSError(number, os.strerror(number), "/a/path"))
            self.assertEqual(told.code, code)
            self.assertEqual(len(told.details), code is Code.RESOURCE_EXHAUSTED)
            self.assertNotIn("path", str(told))
            self.assertTrue(str(told).startswith("local tier: "))

    def test_without_a_number(self) -> None:
        """An error that is only words is told in these."""
        self.assertEqual(str(self.told(OSError("words"))), "local tier: words")
