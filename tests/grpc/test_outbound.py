"""Tests of gorego_tw.grpc.outbound."""

from __future__ import annotations

import h2.config
import h2.connection
from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.grpc.outbound import SOLE_TURN_BYTES, TURN_BYTES, Outbound, Sender
from gorego_tw.grpc.socket_writer import Pieces
from gorego_tw.grpc.status import RESPONSE_HEADERS
from gorego_tw.http2.connection import ServerConnection


class OutboundTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.ended: list[bool] = []
        self.outbound = Outbound(1, lambda: self.ended.append(True))

    def test_take(self) -> None:
        """Bytes come out in order, cut where asked, and are counted."""
        self.outbound.put((b"abc", b"", b"defg"))
        self.assertEqual(self.outbound.pending_bytes, 7)
        self.assertEqual(b"".join(self.outbound.take(5)), b"abcde")
        self.assertEqual(b"".join(self.outbound.take(5)), b"fg")
        self.assertEqual(self.outbound.pending_bytes, 0)

    def test_drained(self) -> None:
        """Who waits is woken when all is sent, once."""
        waiting = self.outbound.drained()
        self.outbound.all_sent()
        self.successResultOf(waiting)
        self.outbound.all_sent()
        self.assertEqual(self.ended, [])

    def test_closed(self) -> None:
        """A closed queue ends its stream when all is sent."""
        self.outbound.close()
        self.outbound.all_sent()
        self.assertEqual(self.ended, [True])

    def test_cancelled_wait(self) -> None:
        """A waiter that was cancelled is not woken."""
        waiting = self.outbound.drained()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.outbound.all_sent()


class SenderTests(SynchronousTestCase):
    """Streams 1, 3 and 5 of one connection, and the bytes written for each."""

    def setUp(self) -> None:
        self.connection = ServerConnection()
        self.writes: list[bytes] = []
        self.full_after: int | None = None
        self.full = False
        self.sender = Sender(self.connection)
        self.sender.connected(self)
        config = h2.config.H2Configuration(client_side=True)
        self.client = h2.connection.H2Connection(config)
        self.client.initiate_connection()
        for stream_id in (1, 3, 5):
            self.client.send_headers(
                stream_id,
                [(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "a")],
            )
        self.connection.receive(self.client.data_to_send())
        for stream_id in (1, 3, 5):
            self.connection.respond(stream_id, RESPONSE_HEADERS)
        self.sender.flush()
        self.writes.clear()

    def write(self, pieces: Pieces) -> None:
        self.writes.append(b"".join(pieces))
        self.full = self.full_after is not None and len(self.writes) >= self.full_after

    def new_turn(self) -> None:
        """The test is its own SocketWriter."""

    def close(self) -> None:
        """Not asked for here."""

    def queue(self, stream_id: int, size: int) -> Outbound:
        outbound = Outbound(stream_id, lambda: None)
        outbound.put((bytes(size),))
        self.sender.add(outbound)
        return outbound

    def grant(self, stream_id: int, n: int) -> None:
        """A WINDOW_UPDATE of the client."""
        frame = b"\0\0\4\x08\0" + stream_id.to_bytes(4, "big") + n.to_bytes(4, "big")
        for event in self.connection.receive(frame):
            self.sender.window_opened(getattr(event, "stream_id"))  # noqa: B009  # only WindowOpened comes

    def test_counts_what_is_queued(self) -> None:
        """Queued bytes are counted until they are sent or dropped."""
        self.full = True
        first, _ = self.queue(1, 1000), self.queue(3, 500)
        self.assertEqual(self.sender.queued_bytes, 1500)
        self.sender.drop(first)
        self.assertEqual(self.sender.queued_bytes, 500)
        self.full = False
        self.sender.pump()
        self.assertEqual(self.sender.queued_bytes, 0)

    def test_window_blocks_one_stream_alone(self) -> None:
        """A stream without window waits; the others go on; its window wakes it."""
        self.grant(0, 1 << 20)
        blocked = self.queue(1, 100_000)
        self.sender.pump()
        self.assertEqual(blocked.pending_bytes, 100_000 - 65_535)
        other = self.queue(3, 1000)
        self.sender.pump()
        self.assertEqual(other.pending_bytes, 0)
        self.grant(1, 1 << 20)
        self.sender.pump()
        self.assertEqual(blocked.pending_bytes, 0)

    def test_connection_window_wakes_all(self) -> None:
        """When the connection's window opens, every stream that waited has its turn."""
        queued = [self.queue(stream_id, 40_000) for stream_id in (1, 3, 5)]
        self.sender.pump()
        self.assertEqual(sum(outbound.pending_bytes for outbound in queued), 120_000 - 65_535)
        self.grant(0, 1 << 20)
        self.sender.pump()
        self.assertEqual([outbound.pending_bytes for outbound in queued], [0, 0, 0])

    def test_turns(self) -> None:
        """Streams take turns of a bounded size."""
        self.grant(0, 1 << 20)
        for stream_id in (1, 3):
            self.grant(stream_id, 1 << 20)
        one, three = self.queue(1, 3 * TURN_BYTES), self.queue(3, 3 * TURN_BYTES)
        self.full_after = 2
        self.sender.pump()
        self.assertEqual((one.pending_bytes, three.pending_bytes), (2 * TURN_BYTES, 2 * TURN_BYTES))

    def test_sole_turn(self) -> None:
        """Where nobody else waits a turn is larger, and its pieces are one frame if the client takes it."""
        large = b"\0\0\6\4\0\0\0\0\0" + b"\0\5" + (1 << 20).to_bytes(4, "big")
        self.connection.receive(large)
        self.sender.flush()
        self.writes.clear()
        self.grant(0, 1 << 20)
        self.grant(1, 1 << 20)
        outbound = Outbound(1, lambda: None)
        outbound.put((b"head", bytes(3 * SOLE_TURN_BYTES)))
        self.sender.add(outbound)
        self.full_after = 1
        self.sender.pump()
        [written] = self.writes
        self.assertEqual(len(written), SOLE_TURN_BYTES + 9)
        self.assertEqual(written[:3], SOLE_TURN_BYTES.to_bytes(3, "big"))
