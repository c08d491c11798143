"""Tests of gorego_tw.grpc.router."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from gorego_tw.grpc.router import IRPCService, Router
from tests.grpc.peer import Texts


class RouterTests(SynchronousTestCase):
    def test_service(self) -> None:
        """The test service is a service."""
        verifyObject(IRPCService, Texts())

    def test_find(self) -> None:
        """Methods are found by path, with how many messages go each way."""
        router = Router([Texts()])
        found = [
            router.find(path) for path in (b"/t.T/Echo", b"/t.T/Count", b"/t.T/Join", b"/t.T/Chat")
        ]
        self.assertEqual(
            [m[:2] for m in found if m],
            [(False, False), (False, True), (True, False), (True, True)],
        )

    def test_absent(self) -> None:
        """A path nobody offers is None."""
        self.assertIsNone(Router([Texts()]).find(b"/t.T/None"))

    def test_twice(self) -> None:
        """Two services with one path are a mistake that shows at once."""
        self.assertRaises(ValueError, Router, [Texts(), Texts()])

    def test_service_names(self) -> None:
        """Services are listed by their full names."""
        self.assertEqual(Router([Texts()]).service_names(), ["t.T"])
