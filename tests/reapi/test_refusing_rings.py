"""Tests of gorego_tw.reapi.refusing_rings."""

from __future__ import annotations

from google.protobuf.empty_pb2 import Empty
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from gorego_tw.errors import FailedPrecondition
from gorego_tw.forwarding import VIA
from gorego_tw.grpc.router import IRPCService
from gorego_tw.reapi.refusing_rings import TELL_SECONDS, RefusingRings
from gorego_tw.seldom import Seldom
from gorego_tw.via import Station
from tests.reapi.fakes import FakeCall
from tests.reapi.test_forwarding_metadata import Asking


class RefusingRingsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.base = Asking()
        told = Seldom(TELL_SECONDS, self.clock, at_once=True)
        self.service = RefusingRings(self.base, Station("here:1", "a"), told)
        (self.method,) = self.service.methods().values()

    def ask(self, **metadata: str) -> bytes:
        """What a call is answered."""
        answer: bytes = self.successResultOf(self.method.handle(Empty(), FakeCall(metadata)))
        return answer

    def test_interface(self) -> None:
        """It is a service, with the methods of the other."""
        verifyObject(IRPCService, self.service)
        self.assertEqual(list(self.service.methods()), ["/t.T/Ask"])

    def test_the_first_time(self) -> None:
        """A call that was not here before is served, whoever it has passed."""
        for metadata in ({}, {VIA: "there:1#b"}, {VIA: "here:1#b"}):
            self.assertEqual(self.ask(**metadata), b"")

    def test_again(self) -> None:
        """A call that comes back is refused with the way that it goes, which the log has now and then."""
        came = {VIA: "first:1#c, here:1#a, there:1#b"}
        with capturedLogs() as events:
            for seconds in (0, 1, TELL_SECONDS):
                self.clock.advance(seconds)
                told = str(self.assertRaises(FailedPrecondition, self.ask, **came))
                self.assertIn("ring of backing caches: here:1 -> there:1 -> here:1;", told)
        self.assertEqual(len(events), 2)
        self.assertIn("here:1 -> there:1 -> here:1;", formatEvent(events[0]))
        self.assertEqual(self.base.seen, [])
