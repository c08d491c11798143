"""Tests of gorego_tw.grpc.socket_writer."""

from __future__ import annotations

import socket

from twisted.internet.interfaces import IPullProducer, IPushProducer
from twisted.internet.protocol import Protocol
from twisted.internet.tcp import Server
from twisted.internet.testing import MemoryReactor, StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from gorego_tw.grpc.socket_writer import (
    MAX_BURST_BYTES,
    MAX_UNSENT_BYTES,
    BufferedWriter,
    DirectWriter,
    writer_for,
)


class DirectWriterTests(SynchronousTestCase):
    """On one end of a real socket pair; the reactor is the test."""

    def setUp(self) -> None:
        ours, self.theirs = socket.socketpair(socket.AF_UNIX)
        ours.setblocking(False)
        self.addCleanup(self.theirs.close)
        self.addCleanup(ours.close)
        self.theirs.setblocking(False)
        self.reactor = MemoryReactor()
        self.transport = Server(ours, Protocol(), ("", 0), None, 0, self.reactor)  # type: ignore[arg-type]  # no port
        self.emptied = 0
        self.writer = DirectWriter(self.transport, self._emptied)

    def _emptied(self) -> None:
        self.emptied += 1

    def received(self) -> bytes:
        data = b""
        try:
            while piece := self.theirs.recv(1 << 20):
                data += piece
        except BlockingIOError:
            return data
        return data

    def fill(self) -> bytes:
        """Write until the socket is full; what was written."""
        written = b""
        while not self.writer.full:
            self.writer.write([bytes(60_000)])
            written += bytes(60_000)
        return written

    def test_interface(self) -> None:
        """The transport asks it whenever its buffer is empty."""
        verifyObject(IPullProducer, self.writer)

    def test_chosen(self) -> None:
        """A plain socket is written to directly."""
        self.transport.unregisterProducer()
        self.assertIsInstance(writer_for(self.transport, self._emptied), DirectWriter)

    def test_at_once(self) -> None:
        """What the socket takes is there without the reactor."""
        self.writer.write([b"hello"])
        self.assertEqual(self.received(), b"hello")
        self.assertFalse(self.writer.full)
        self.assertEqual(self.reactor.getWriters(), [])

    def test_rest_waits_in_order(self) -> None:
        """What the socket does not take goes through the reactor, in order, and then it says so."""
        written = self.fill() + b"last"
        self.writer.write([b"last"])
        self.assertEqual(self.reactor.getWriters(), [self.transport])
        got = b""
        while not self.emptied:
            got += self.received()
            self.transport.doWrite()
        self.assertEqual(got + self.received(), written)
        self.assertFalse(self.writer.full)

    def test_part_of_a_piece(self) -> None:
        """Of pieces of which the socket takes some, and a part of one, the rest follows."""
        pieces = [bytes([n]) * 100_000 for n in range(20)]
        self.writer.write(pieces[:10])
        self.assertTrue(self.writer.full)
        self.writer.write(pieces[10:])
        got = b""
        while not self.emptied:
            got += self.received()
            self.transport.doWrite()
        self.assertEqual(got + self.received(), b"".join(pieces))

    def test_close(self) -> None:
        """The peer reads all that is written and then the end, whatever it sends meanwhile."""
        written = self.fill()
        self.writer.close()
        got = b""
        while self.reactor.getWriters():
            got += self.received()
            self.transport.doWrite()
        self.theirs.send(b"more of it, please")
        self.assertEqual(got + self.received(), written)
        self.theirs.setblocking(True)
        self.assertEqual(self.theirs.recv(1), b"")

    def test_burst(self) -> None:
        """One connection does not write for ever, even if its client reads as fast."""
        for _ in range(MAX_BURST_BYTES // 65_536):
            self.writer.write([bytes(65_536)])
            self.received()
        self.assertFalse(self.writer.full)
        self.writer.write([b"more"])
        self.assertTrue(self.writer.full)

    def test_new_turn(self) -> None:
        """After a turn of the reactor the next burst may begin."""
        for _ in range(MAX_BURST_BYTES // 65_536):
            self.writer.write([bytes(65_536)])
            self.received()
        self.writer.new_turn()
        self.writer.write([b"more"])
        self.assertFalse(self.writer.full)

    def test_stops_reading(self) -> None:
        """A peer that makes us answer and reads nothing is not read from, until it reads."""
        self.fill()
        self.transport.startReading()
        for _ in range(MAX_UNSENT_BYTES // 1000 + 1):
            self.writer.write([bytes(1000)])
        self.assertEqual(self.reactor.getReaders(), [])
        while not self.emptied:
            self.received()
            self.transport.doWrite()
        self.assertEqual(self.reactor.getReaders(), [self.transport])


class BufferedWriterTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.transport = StringTransport()
        self.emptied = 0
        self.writer = BufferedWriter(self.transport, self._emptied)

    def _emptied(self) -> None:
        self.emptied += 1

    def test_interface(self) -> None:
        """The transport tells it when to hold back."""
        verifyObject(IPushProducer, self.writer)

    def test_chosen(self) -> None:
        """Whatever is no plain socket keeps Twisted's own buffer."""
        self.assertIsInstance(writer_for(StringTransport(), self._emptied), BufferedWriter)

    def test_full(self) -> None:
        """It is full while the transport says so."""
        self.writer.pauseProducing()
        self.assertTrue(self.writer.full)
        self.writer.write([b"anyway"])
        self.assertEqual(self.transport.value(), b"anyway")
        self.writer.resumeProducing()
        self.assertEqual((self.writer.full, self.emptied), (False, 1))
