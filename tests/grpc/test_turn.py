"""Tests of gorego_tw.grpc.turn."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.grpc.turn import Turn
from tests.grpc.peer import Peer, Texts, serving, text


class Connection:
    """Notes that it sends."""

    def __init__(self, name: str, sent: list[str]) -> None:
        self._name = name
        self._sent = sent

    def flush(self) -> None:
        """Send."""
        self._sent.append(self._name)


class TurnTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.turn = Turn(self.clock)
        self.sent: list[str] = []
        self.a, self.b, self.c = (Connection(name, self.sent) for name in "abc")

    def test_alone(self) -> None:
        """One that has the reactor for itself sends at once, and sets no timer."""
        for _ in range(3):
            self.turn.handled(self.a)
        self.assertEqual(self.sent, ["a", "a", "a"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_together(self) -> None:
        """Several send one after the other, when all have been read."""
        self.turn.handled(self.a)
        self.sent.clear()
        for connection in (self.b, self.c, self.a):
            self.turn.handled(connection)
        self.assertEqual(self.sent, [])
        self.clock.advance(0)
        self.assertEqual(self.sent, ["b", "c", "a"])

    def test_order(self) -> None:
        """One that is read again while others wait does not go before them."""
        self.turn.handled(self.a)
        self.turn.handled(self.b)
        self.turn.handled(self.b)
        self.assertEqual(self.sent, ["a"])
        self.clock.advance(0)
        self.assertEqual(self.sent, ["a", "b", "b"])

    def test_left(self) -> None:
        """One that has gone is not asked to send, and is not held."""
        self.turn.handled(self.a)
        self.turn.handled(self.b)
        self.turn.left(self.b)
        self.clock.advance(0)
        self.assertEqual(self.sent, ["a"])
        self.turn.left(self.a)
        self.turn.handled(self.c)
        self.assertEqual(self.sent, ["a", "c"])


class ServedTests(SynchronousTestCase):
    def test_answers_of_two_connections(self) -> None:
        """Answers to connections that are read by turns leave at the end of the turn."""
        factory, clock = serving(Texts())
        first, second = Peer(factory), Peer(factory)
        for peer in (first, second):
            self.addCleanup(peer.lose)
        for peer in (first, second, first):
            peer.send(peer.start("/t.T/Echo"), text("a"), end=True)
            peer.protocol.dataReceived(peer.h2.data_to_send())
        self.assertEqual((first.transport.value(), second.transport.value()), (b"", b""))
        clock.advance(0)
        for peer in (first, second):
            peer.exchange()
            self.assertTrue(all(answer.ended for answer in peer.answers.values()))
        self.assertEqual((len(first.answers), len(second.answers)), (2, 1))
