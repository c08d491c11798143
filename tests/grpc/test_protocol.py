"""Tests of gorego_tw.grpc.protocol and call, driven by the h2 library as a client."""

from __future__ import annotations

import gzip
from base64 import b64decode
from collections.abc import Mapping

from google.rpc import status_pb2
from h2.settings import SettingCodes
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.grpc.protocol import LINGER_SECONDS
from gorego_tw.grpc.router import Method
from gorego_tw.grpc.socket_writer import MAX_UNSENT_BYTES
from tests.grpc.peer import Answer, Peer, Text, Texts, serving, text

OK = ("0", None)


class ServedTestCase(SynchronousTestCase):
    """A client connected to a server with the service Texts."""

    def setUp(self) -> None:
        self.service = Texts()
        self.factory, self.clock = serving(self.service)
        self.peer = Peer(self.factory)
        self.addCleanup(self.peer.lose)

    def texts(self, answer: Answer) -> list[str]:
        return [Text.FromString(message).service for message in answer.messages]


class UnaryTests(ServedTestCase):
    def test_answered(self) -> None:
        """A request is answered with headers, one message and OK."""
        answer = self.peer.call("/t.T/Echo", text("hello"))
        self.assertEqual(self.texts(answer), ["hello"])
        self.assertEqual(answer.status, OK)
        self.assertEqual(answer.headers[":status"], "200")
        self.assertEqual(answer.headers["grpc-accept-encoding"], "identity,gzip")
        self.assertTrue(answer.ended)

    def test_leaves_in_one_write(self) -> None:
        """All answers to the requests of one segment leave in one write."""
        for _ in range(5):
            self.peer.send(self.peer.start("/t.T/Echo"), text("x"), end=True)
        writes: list[bytes] = []
        self.peer.transport.write = writes.append  # type: ignore[method-assign]  # a spy
        self.peer.protocol.dataReceived(self.peer.h2.data_to_send())
        self.assertEqual(len(writes), 1)

    def test_answered_later(self) -> None:
        """A call that waits is answered when it is done waiting."""
        answer = self.peer.call("/t.T/Wait", text("late"))
        self.assertFalse(answer.ended)
        self.service.waits[0].callback(None)
        self.peer.exchange()
        self.assertEqual((self.texts(answer), answer.status), (["late"], OK))

    def test_trailers_only_error(self) -> None:
        """A failure before any message is one header block with status, encoded message, details."""
        answer = self.peer.call("/t.T/Missing", text("x"))
        self.assertEqual(answer.headers["grpc-status"], "5")
        self.assertEqual(answer.headers["grpc-message"], "no blob%0A50%25 %C3%A9")
        self.assertEqual(answer.trailers, {})
        encoded = answer.headers["grpc-status-details-bin"]
        status = status_pb2.Status.FromString(b64decode(encoded + "=" * (-len(encoded) % 4)))
        detail = Text()
        self.assertEqual((status.code, status.message), (5, "no blob\n50% é"))
        self.assertTrue(status.details[0].Unpack(detail))
        self.assertEqual(detail.service, "detail")

    def test_bug_is_internal(self) -> None:
        """An unexpected exception is INTERNAL, is logged, and leaks nothing."""
        code, message = self.peer.call("/t.T/Bug", text("x")).status
        self.assertEqual(code, "13")
        self.assertNotIn("secret", message or "")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_unknown_method(self) -> None:
        """A method nobody has is UNIMPLEMENTED and named."""
        self.assertEqual(
            self.peer.call("/t.T/Nothing", text("x")).status,
            ("12", "no method /t.T/Nothing here"),
        )

    def test_no_message(self) -> None:
        """A request without a message is UNIMPLEMENTED (statuscodes.md, cardinality)."""
        self.assertEqual(self.peer.call("/t.T/Echo").status[0], "12")

    def test_two_messages(self) -> None:
        """A second message where one is taken is UNIMPLEMENTED."""
        self.assertEqual(self.peer.call("/t.T/Echo", text("a"), text("b")).status[0], "12")

    def test_not_a_message(self) -> None:
        """Bytes that do not parse are INTERNAL (statuscodes.md)."""
        self.assertEqual(self.peer.call("/t.T/Echo", b"\xff\xff").status[0], "13")

    def test_ends_inside_a_message(self) -> None:
        """A request that stops inside a message is INTERNAL."""
        stream_id = self.peer.start("/t.T/Echo")
        self.peer.h2.send_data(stream_id, b"\0\0\0\0\x05ab", end_stream=True)
        self.peer.exchange()
        self.assertEqual(self.peer.answers[stream_id].status[0], "13")

    def test_gzip(self) -> None:
        """A gzip message is understood."""
        stream_id = self.peer.start("/t.T/Echo", ("grpc-encoding", "gzip"))
        data = gzip.compress(text("packed"))
        framed = b"\1" + len(data).to_bytes(4, "big") + data
        self.peer.h2.send_data(stream_id, framed, end_stream=True)
        self.peer.exchange()
        self.assertEqual(self.texts(self.peer.answers[stream_id]), ["packed"])

    def test_unknown_encoding(self) -> None:
        """An encoding not supported is UNIMPLEMENTED and the answer says which are."""
        answer = self.peer.call("/t.T/Echo", text("x"), headers=(("grpc-encoding", "snappy"),))
        self.assertEqual(answer.status[0], "12")
        self.assertEqual(answer.headers["grpc-accept-encoding"], "identity,gzip")

    def test_message_too_large(self) -> None:
        """A message beyond the limit is RESOURCE_EXHAUSTED before it has arrived."""
        stream_id = self.peer.start("/t.T/Echo")
        self.peer.h2.send_data(stream_id, b"\0" + (1 << 25).to_bytes(4, "big") + b"x")
        self.peer.exchange()
        self.assertEqual(self.peer.answers[stream_id].status[0], "8")

    def test_refused(self) -> None:
        """Who wants to know is told of calls that fail before the service is asked, and of no others."""
        told: list[int] = []

        class Noted(Texts):
            def methods(self) -> Mapping[str, Method]:
                return {
                    path: method._replace(refused=lambda _, error: told.append(error.code))
                    for path, method in super().methods().items()
                }

        peer = Peer(serving(Noted())[0])
        self.addCleanup(peer.lose)
        peer.call("/t.T/Echo", text("hello"))
        peer.call("/t.T/Missing", text("hello"))
        peer.call("/t.T/Echo", b"\xff\xff")
        stream_id = peer.start("/t.T/Echo")
        peer.h2.send_data(stream_id, b"\0" + (1 << 25).to_bytes(4, "big") + b"x")
        peer.exchange()
        self.assertEqual(told, [13, 8])

    def test_metadata(self) -> None:
        """A service sees the caller's headers, binary ones decoded, malformed ones not at all."""
        headers = (("tool", "bazel"), ("good-bin", "AQI"), ("bad-bin", "!"))
        self.peer.call("/t.T/Echo", text("x"), headers=headers)
        (call,) = self.service.calls
        self.assertEqual(call.path, "/t.T/Echo")
        self.assertEqual(call.metadata("tool"), "bazel")
        self.assertIsNone(call.metadata("absent"))
        self.assertEqual(call.binary_metadata("good-bin"), b"\1\2")
        self.assertIsNone(call.binary_metadata("bad-bin"))
        self.assertIsNone(call.binary_metadata("absent-bin"))
        self.assertIsNone(call.time_remaining())

    def test_large_reply_waits_for_the_window(self) -> None:
        """A reply larger than the windows leaves as the client makes room, and whole."""
        self.peer.acknowledging = False
        answer = self.peer.call("/t.T/Big", text("300000"))
        self.assertLess(len(answer.body), 66_000)
        self.peer.acknowledging = True
        self.peer.h2.increment_flow_control_window(1 << 20)
        self.peer.h2.increment_flow_control_window(1 << 20, 1)
        self.peer.exchange()
        self.assertEqual((answer.messages, answer.status), ([bytes(300_000)], OK))

    def test_window_of_one_byte(self) -> None:
        """A tiny window is respected and nothing is lost."""
        peer = Peer(self.factory, {SettingCodes.INITIAL_WINDOW_SIZE: 1})
        self.assertEqual(self.texts(peer.call("/t.T/Echo", text("hello"))), ["hello"])


class PlainHTTPTests(ServedTestCase):
    def test_get(self) -> None:
        """A GET gets 405 and a line that says what the port speaks."""
        stream_id = self.peer.start("/", method="GET")
        self.peer.exchange()
        answer = self.peer.answers[stream_id]
        self.assertEqual(answer.headers[":status"], "405")
        self.assertIn(b"gRPC", answer.body)
        self.assertTrue(answer.ended)

    def test_head(self) -> None:
        """A HEAD gets no body."""
        stream_id = self.peer.start("/", method="HEAD")
        self.peer.exchange()
        self.assertEqual(self.peer.answers[stream_id].body, b"")

    def test_other_content_type(self) -> None:
        """A POST of something else is 415."""
        stream_id = self.peer.h2.get_next_available_stream_id()
        self.peer.answers[stream_id] = Answer()
        self.peer.h2.send_headers(
            stream_id,
            [(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "a")],
            end_stream=True,
        )
        self.peer.exchange()
        self.assertEqual(self.peer.answers[stream_id].headers[":status"], "415")


class StreamingTests(ServedTestCase):
    def test_server_streaming(self) -> None:
        """All replies arrive in order, then OK."""
        answer = self.peer.call("/t.T/Count", text("5"))
        self.assertEqual(self.texts(answer), ["0", "1", "2", "3", "4"])
        self.assertEqual(answer.status, OK)

    def test_no_replies(self) -> None:
        """An empty stream is headers and OK."""
        answer = self.peer.call("/t.T/Count", text("0"))
        self.assertEqual((answer.messages, answer.status), ([], OK))

    def test_pieces_are_not_reused_too_early(self) -> None:
        """A generator may use its buffer again when it is resumed: every message arrives unharmed."""
        answer = self.peer.call("/t.T/Stream", text("9"))
        self.assertEqual([set(m) for m in answer.messages], [{n} for n in range(9)])

    def test_back_pressure(self) -> None:
        """A client that does not read stops the service's generator."""
        self.peer.acknowledging = False
        self.peer.call("/t.T/Stream", text("1000"))
        self.assertEqual(self.service.taken, ["0"])

    def test_paused_socket(self) -> None:
        """A socket that is full stops the generator too; when it is empty all goes on."""
        self.peer.producer.pauseProducing()
        answer = self.peer.call("/t.T/Stream", text("3"))
        self.assertEqual(self.service.taken, ["0"])
        self.assertEqual(answer.messages, [])
        self.peer.producer.resumeProducing()
        self.peer.exchange()
        self.assertEqual((len(answer.messages), answer.status), (3, OK))

    def test_fair(self) -> None:
        """A short stream does not wait for the end of a long one."""
        long = self.peer.start("/t.T/Stream")
        self.peer.send(long, text("50"), end=True)
        short = self.peer.start("/t.T/Count")
        self.peer.send(short, text("3"), end=True)
        self.peer.acknowledging = False
        self.peer.exchange()
        self.assertTrue(self.peer.answers[short].ended)
        self.assertFalse(self.peer.answers[long].ended)

    def test_client_streaming(self) -> None:
        """The service takes the messages until the end and answers."""
        answer = self.peer.call("/t.T/Join", text("a"), text("b"), text("c"))
        self.assertEqual((self.texts(answer), answer.status), (["a,b,c"], OK))

    def test_slow_service(self) -> None:
        """A service that is slow holds the client back, and lets it go on when it goes on itself."""
        stream_id = self.peer.start("/t.T/Slow")
        sent = 0
        for _ in range(200):
            while self.peer.h2.local_flow_control_window(stream_id) > 17_000:
                self.peer.send(stream_id, text("x" * 16_000))
                sent += 16_000
            self.peer.exchange()
            if self.service.waits:
                self.service.waits.pop().callback(None)
                self.peer.exchange()
        self.assertGreater(sent, 2_000_000)
        self.peer.send(stream_id, end=True)
        self.peer.exchange()
        while self.service.waits:
            self.service.waits.pop().callback(None)
            self.peer.exchange()
        self.assertEqual(self.texts(self.peer.answers[stream_id]), [str(sent)])

    def test_early_answer(self) -> None:
        """A service that has seen enough answers at once; the rest is refused without an error."""
        stream_id = self.peer.start("/t.T/First")
        self.peer.send(stream_id, text("one"))
        self.peer.exchange()
        answer = self.peer.answers[stream_id]
        self.assertEqual((self.texts(answer), answer.status), (["one"], OK))
        self.assertEqual(answer.reset, 0)

    def test_bidirectional(self) -> None:
        """Each request is answered before the next is sent."""
        stream_id = self.peer.start("/t.T/Chat")
        for word, told in (("a", ["A"]), ("b", ["A", "B"])):
            self.peer.send(stream_id, text(word))
            self.peer.exchange()
            self.assertEqual(self.texts(self.peer.answers[stream_id]), told)
        self.peer.send(stream_id, end=True)
        self.peer.exchange()
        self.assertEqual(self.peer.answers[stream_id].status, OK)

    def test_stream_ends_inside_a_message(self) -> None:
        """A stream of requests that stops inside a message is INTERNAL."""
        stream_id = self.peer.start("/t.T/Join")
        self.peer.h2.send_data(stream_id, b"\0\0\0\0\x05ab", end_stream=True)
        self.peer.exchange()
        self.assertEqual(self.peer.answers[stream_id].status[0], "13")

    def test_window_of_the_connection(self) -> None:
        """What a call has left unread when it ends takes nothing of the window of those that come after it."""
        for number in range(400):
            stream_id = self.peer.start("/t.T/Slow", ("grpc-timeout", "1S"))
            for _ in range(4):
                self.peer.send(stream_id, text("x" * 16_000))
            self.peer.exchange()
            if number % 2:
                self.peer.h2.reset_stream(stream_id, 8)
            else:
                self.clock.advance(1)
            self.peer.exchange()
        words = [str(number) * 16_000 for number in range(4)]
        answer = self.peer.call("/t.T/Join", *map(text, words))
        self.assertEqual(self.texts(answer), [",".join(words)])

    def test_window_after_ends_inside_a_message(self) -> None:
        """Nor does what a request has of a message at whose end it does not come."""
        for _ in range(1100):
            stream_id = self.peer.start("/t.T/Join")
            self.peer.h2.send_data(stream_id, b"\0\0\1\0\0" + bytes(16_000), end_stream=True)
            self.peer.exchange()
        self.assertEqual(self.texts(self.peer.call("/t.T/Join", text("a"))), ["a"])


class CancellationTests(ServedTestCase):
    def test_reset(self) -> None:
        """A client's RST_STREAM cancels the service's coroutine."""
        stream_id = self.peer.start("/t.T/Wait")
        self.peer.send(stream_id, text("x"), end=True)
        self.peer.exchange()
        self.peer.h2.reset_stream(stream_id, 8)
        self.peer.exchange()
        self.assertEqual(self.service.cancelled, 1)
        self.assertEqual(self.peer.protocol.open_calls, 0)

    def test_connection_lost(self) -> None:
        """A lost connection cancels all of its calls."""
        for method in ("Wait", "Wait", "Stream"):
            self.peer.send(self.peer.start(f"/t.T/{method}"), text("90"), end=True)
        self.peer.acknowledging = False
        self.peer.exchange()
        self.peer.lose()
        self.assertEqual(self.service.cancelled, 3)
        self.assertEqual(self.factory.connections, 0)

    def test_deadline(self) -> None:
        """A passed deadline is DEADLINE_EXCEEDED to the client and cancels the service."""
        answer = self.peer.call("/t.T/Wait", text("x"), headers=(("grpc-timeout", "500m"),))
        self.clock.advance(0.4)
        self.peer.exchange()
        self.assertFalse(answer.ended)
        self.clock.advance(0.2)
        self.peer.exchange()
        self.assertEqual(answer.status, ("4", "deadline of 0.5 s exceeded"))
        self.assertEqual(self.service.cancelled, 1)

    def test_no_timer_is_left(self) -> None:
        """A call that ends in time leaves no timer behind."""
        answer = self.peer.call("/t.T/Wait", text("x"), headers=(("grpc-timeout", "9S"),))
        self.service.waits[0].callback(None)
        self.peer.exchange()
        self.assertTrue(answer.ended)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_bad_timeout(self) -> None:
        """A malformed deadline fails the call."""
        answer = self.peer.call("/t.T/Echo", text("x"), headers=(("grpc-timeout", "soon"),))
        self.assertEqual(answer.status[0], "3")


class ConnectionTests(ServedTestCase):
    def test_violation_closes(self) -> None:
        """A peer that breaks the protocol is told why and dropped."""
        self.peer.protocol.dataReceived(b"\0\0\0\x05\0\0\0\0\1" * 3)  # PUSH_PROMISE from a client
        self.peer.exchange()
        self.assertTrue(self.peer.transport.disconnecting)
        (gone,) = self.peer.goaways
        self.assertIn(b"PUSH_PROMISE from a client", gone)

    def test_reader_that_only_asks(self) -> None:
        """Answers that a full socket does not take stop the reading of more requests, until it does."""
        self.peer.producer.pauseProducing()
        answered = 0
        while self.peer.transport.producerState == "producing":
            self.peer.send(self.peer.start("/t.T/Nothing"), end=True)
            self.peer.protocol.dataReceived(self.peer.h2.data_to_send())
            answered += len(self.peer.transport.value())
            self.peer._received(self.peer.h2.receive_data(self.peer.transport.value()))
            self.peer.transport.clear()
            self.assertLess(answered, 2 * MAX_UNSENT_BYTES)
        self.peer.producer.resumeProducing()
        self.assertEqual(self.peer.transport.producerState, "producing")

    def test_drain(self) -> None:
        """A drained connection ends its calls, takes no new ones, and closes."""
        answer = self.peer.call("/t.T/Wait", text("x"))
        drained = Deferred.fromCoroutine(self.factory.drain(30))
        self.peer.exchange()
        self.assertFalse(self.peer.transport.disconnecting)
        self.service.waits[0].callback(None)
        self.peer.exchange()
        self.assertEqual(answer.status, OK)
        self.assertEqual(
            [gone[:4] for gone in self.peer.goaways], [b"\x7f\xff\xff\xff", b"\0\0\0\1"]
        )
        self.assertTrue(self.peer.transport.disconnecting)
        self.assertNoResult(drained)
        self.peer.lose()
        self.successResultOf(drained)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_gone_before_it_is_drained(self) -> None:
        """A connection that failed, of which nobody has told yet, keeps nobody waiting either."""

        def write(_: bytes) -> None:
            raise RuntimeError("unable to perform operation; the handler is closed")

        self.peer.transport.write = write  # type: ignore[method-assign]  # as uvloop does
        self.successResultOf(Deferred.fromCoroutine(self.factory.drain(30)))
        self.peer.lose()

    def test_lost_while_drained(self) -> None:
        """A client that vanishes meanwhile, in the middle of a call, keeps nobody waiting."""
        self.peer.call("/t.T/Wait", text("x"))
        drained = Deferred.fromCoroutine(self.factory.drain(30))
        self.peer.lose()
        self.successResultOf(drained)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_drain_of_an_idle_connection(self) -> None:
        """A connection without calls is closed at once."""
        Deferred.fromCoroutine(self.factory.drain(30))
        self.assertTrue(self.peer.transport.disconnecting)

    def test_peer_that_does_not_close(self) -> None:
        """To whom all was said has two seconds to end from its side; what it sends is not read."""
        Deferred.fromCoroutine(self.factory.drain(30))
        self.peer.transport.disconnecting = False
        self.peer.protocol.dataReceived(b"what is no frame, and long enough to be refused")
        self.assertFalse(self.peer.transport.disconnecting)
        self.clock.advance(LINGER_SECONDS)
        self.assertTrue(self.peer.transport.disconnecting)

    def test_grace_passes(self) -> None:
        """A call that outlives the grace is UNAVAILABLE; who does not read is dropped."""
        answer = self.peer.call("/t.T/Wait", text("x"))
        drained = Deferred.fromCoroutine(self.factory.drain(30))
        self.clock.advance(30)
        self.peer.exchange()
        self.assertEqual(answer.status[0], "14")
        self.assertTrue(self.peer.transport.disconnecting)
        self.clock.advance(2)
        self.assertTrue(self.peer.transport.disconnected)
        self.peer.lose()
        self.successResultOf(drained)

    def test_nothing_to_drain(self) -> None:
        """Without connections there is nothing to wait for."""
        self.peer.lose()
        self.successResultOf(Deferred.fromCoroutine(self.factory.drain(30)))

    def test_keepalive(self) -> None:
        """A silent peer is pinged, and dropped if it does not answer."""
        self.clock.advance(121)
        self.factory.look()
        self.assertIn(b"gorego ?", self.peer.transport.value())
        self.clock.advance(41)
        self.factory.look()
        self.assertTrue(self.peer.transport.disconnected)

    def test_keepalive_answered(self) -> None:
        """A peer that answers the ping stays."""
        self.clock.advance(121)
        self.factory.look()
        self.peer.exchange()
        self.clock.advance(41)
        self.factory.look()
        self.assertFalse(self.peer.transport.disconnected)
