"""The failures of calls."""

from __future__ import annotations

from google.rpc import code_pb2
from google.rpc.error_details_pb2 import RetryInfo
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw import errors
from gorego_tw.errors import Code, DigestMismatch, InvalidArgument, NotFound, StatusError


class CodeTests(SynchronousTestCase):
    def test_numbers(self) -> None:
        """Names and numbers are those of google.rpc.Code."""
        self.assertEqual({code.name: code.value for code in Code}, dict(code_pb2.Code.items()))


class StatusErrorTests(SynchronousTestCase):
    def test_one_class_for_each_code(self) -> None:
        """No code has two classes, and each class has the name of its code."""
        kinds = [kind for kind in vars(errors).values() if is_direct_kind(kind)]
        self.assertEqual(len({kind.code for kind in kinds}), len(kinds))
        for kind in kinds:
            self.assertEqual(kind.__name__.upper(), kind.code.name.replace("_", ""))

    def test_the_message_reads_as_a_path(self) -> None:
        """Each place that an error passes is put before it; code, class and details stay."""
        details = RetryInfo()
        error = NotFound("no blob", details).at("backing cache").at("CAS")
        self.assertEqual(error.message, "CAS: backing cache: no blob")
        self.assertEqual(str(error), error.message)
        self.assertIsInstance(error, NotFound)
        self.assertEqual(error.details, (details,))

    def test_a_mismatch_is_the_callers_fault(self) -> None:
        """Data that is not what its digest says is INVALID_ARGUMENT (remote_execution.proto)."""
        self.assertTrue(issubclass(DigestMismatch, InvalidArgument))
        self.assertIs(DigestMismatch.code, Code.INVALID_ARGUMENT)


def is_direct_kind(value: object) -> bool:
    """Whether a value is a class made directly from StatusError."""
    return isinstance(value, type) and StatusError in value.__bases__
