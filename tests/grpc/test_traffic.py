"""Tests of gorego_tw.grpc.traffic, as it is counted by a server."""

from __future__ import annotations

from h2.settings import SettingCodes

from gorego_tw.errors import Code
from gorego_tw.grpc.traffic import UNKNOWN
from gorego_tw.http2.limits import Limits
from tests.grpc.peer import Peer, serving, text
from tests.grpc.test_protocol import ServedTestCase


class TrafficTests(ServedTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.traffic = self.factory.traffic

    def codes(self, method: str) -> dict[str, int]:
        """How many calls of the method ended with which status."""
        codes = self.traffic.methods[method].codes
        return {code.name: codes[code] for code in Code if codes[code]}

    def test_unknown_methods_share_a_name(self) -> None:
        """However many methods clients make up, they are one."""
        names = set(self.traffic.methods)
        for number in range(3):
            self.peer.call(f"/t.T/Made-up-{number}", text("a"))
        self.assertEqual(self.codes(UNKNOWN), {"UNIMPLEMENTED": 3})
        self.assertEqual(set(self.traffic.methods), names)

    def test_refused_by_its_headers(self) -> None:
        """A call that fails by its headers alone is one of its method."""
        self.peer.call("/t.T/Echo", text("a"), headers=(("grpc-timeout", "x"),))
        self.assertEqual(self.codes("Echo"), {"INVALID_ARGUMENT": 1})

    def test_each_call_ends_once(self) -> None:
        """Deadline, failure, bug, end of a stream and loss of the connection each count once."""
        self.peer.call("/t.T/Wait", text("a"), headers=(("grpc-timeout", "1S"),))
        self.clock.advance(2)
        self.service.waits[0].addErrback(lambda _: None)
        self.assertEqual(self.codes("Wait"), {"DEADLINE_EXCEEDED": 1})
        self.peer.call("/t.T/Bug", text("a"))
        self.flushLoggedErrors(ZeroDivisionError)
        self.assertEqual(self.codes("Bug"), {"INTERNAL": 1})
        self.peer.call("/t.T/Count", text("2"))
        self.assertEqual(self.codes("Count"), {"OK": 1})
        other = Peer(self.factory)
        other.start("/t.T/Join")
        other.exchange()
        other.lose()
        self.assertEqual(self.codes("Join"), {"CANCELLED": 1})

    def test_large_replies(self) -> None:
        """A reply that leaves in turns is counted whole, and its call when it has left."""
        answer = self.peer.call("/t.T/Big", text("300000"))
        self.assertTrue(answer.ended)
        self.assertEqual(self.traffic.methods["Big"].sent_bytes, 300_005)
        self.assertEqual(self.codes("Big"), {"OK": 1})


class RefusedTests(ServedTestCase):
    def test_refused_streams(self) -> None:
        """Streams beyond the limit are counted, also when their connection has gone."""
        factory, _ = serving(self.service, limits=Limits(max_concurrent_streams=1))
        peer = Peer(factory)
        # The client has not read yet how many it may have.
        peer.h2.remote_settings.acknowledge()
        peer.h2.remote_settings[SettingCodes.MAX_CONCURRENT_STREAMS] = 100
        peer.h2.remote_settings.acknowledge()
        for _ in range(3):
            peer.start("/t.T/Join")
        peer.exchange()
        self.assertEqual(factory.streams_refused, 2)
        peer.lose()
        self.assertEqual(factory.streams_refused, 2)
