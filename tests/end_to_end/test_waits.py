"""Why a request was slow: each span tells what it waited for from what it moved."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator

import grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from gorego_tw.pb.google.bytestream import bytestream_pb2 as bytestream
from tests.end_to_end.backing import Backing
from tests.end_to_end.client import MIB, digest_of, read_name, write_name, write_requests
from tests.end_to_end.collector import attributes
from tests.end_to_end.daemon import eventually
from tests.end_to_end.pages import page
from tests.end_to_end.trace import SERVER, ClientSpan, Trace, arrived, seconds, spent
from tests.end_to_end.traced import (
    GET_RESULT,
    READ,
    WRITE,
    TracedTestCase,
    backing_cache,
    hurry,
    read,
    write,
)

JOINED = "deduplicating request"

#: What takes no time worth mentioning takes less than that, on a machine that is busy, in seconds.
LITTLE = 0.3


class WaitTestCase(TracedTestCase):
    """A daemon before a backing cache that does as the test wants."""

    def setUp(self) -> None:
        super().setUp()
        self.collector = self.make_collector()
        self.backing = Backing()
        self.addCleanup(self.backing.close)
        self.daemon = self.make_traced(self.collector, **backing_cache(self.backing.target))
        self.daemon.start()

    def trace(self, span: ClientSpan, method: str) -> Trace:
        """The trace of a client's call, when it has ended."""

        def is_whole(trace: Trace) -> bool:
            return method in trace.names and trace.strangers == {span.span_id}

        hurry(self.daemon)
        return arrived(self.collector, span.trace_id, is_whole)

    def assert_little(self, span: Span, but: str) -> None:
        """A span spent its time on one thing, and hardly any on others."""
        others = {what: took for what, took in spent(span).items() if what != but}
        self.assertLess(sum(others.values()), LITTLE, others)

    def beside(self, call: Callable[[], object]) -> threading.Thread:
        """Make a call in a thread."""
        thread = threading.Thread(target=call)
        thread.start()
        self.addCleanup(thread.join)
        return thread


class UpstreamTests(WaitTestCase):
    """Reads of what only the backing cache has, which takes a second to send it."""

    def setUp(self) -> None:
        super().setUp()
        self.data = os.urandom(MIB)
        self.digest = self.backing.keep(self.data)
        self.backing.script.bytes_per_second = MIB

    def read(self, span: ClientSpan) -> None:
        """Read it all."""
        client = self.connect(self.daemon)
        self.assertEqual(read(client, self.digest, span.traceparent()), self.data)

    def test_two_readers(self) -> None:
        """The first one waits for the backing cache, and says so; the other one for the first one's fetch."""
        first, second = ClientSpan.new(), ClientSpan.new()
        reading = self.beside(lambda: self.read(first))
        eventually(lambda: self.backing.reads[self.digest.hash], "the fetch has begun")
        self.read(second)
        reading.join()
        fetching, joining = self.trace(first, READ), self.trace(second, READ)
        for span in (fetching.one(READ, SERVER), fetching.one("wait for the backing cache")):
            self.assertGreater(spent(span)["upstream"], 0.7, span.name)
            self.assertLess(spent(span)["upstream"], seconds(span) + 0.001)
        self.assert_little(fetching.one(READ, SERVER), but="upstream")
        for span in (joining.one(READ, SERVER), joining.one(JOINED)):
            self.assertGreater(spent(span)["coalesced"], 0.4, span.name)
        self.assert_little(joining.one(READ, SERVER), but="coalesced")

        fetch, joined = fetching.one("fetch"), joining.one(JOINED)
        self.assertEqual(attributes(fetch)["gorego.outcome"], "completed")
        (link,) = joined.links
        self.assertEqual((link.trace_id, link.span_id), (fetch.trace_id, fetch.span_id))
        self.assertEqual(joining.parent(joined), joining.one("ProxyStore.Get"))
        # What is done once is in the trace of whoever began it.
        self.assertIn("RemoteStore.Get", fetching.names)
        self.assertNotIn(JOINED, fetching.names)
        self.assertFalse({"fetch", "RemoteStore.Get"} & set(joining.names))

    def test_joined_action_result(self) -> None:
        """The same of who joins the lookup of an action result."""
        first, second = ClientSpan.new(), ClientSpan.new()
        asked = reapi.GetActionResultRequest(action_digest=self.digest)
        self.backing.script.hang.set()

        def get(span: ClientSpan) -> None:
            stub = self.connect(self.daemon).action_cache.GetActionResult
            with self.assertRaises(grpc.RpcError) as caught:
                stub(asked, metadata=span.traceparent())
            self.assertEqual(caught.exception.code(), grpc.StatusCode.NOT_FOUND)

        calls = [self.beside(lambda: get(first))]
        eventually(lambda: self.backing.counts["GetActionResult"], "it is asked for")
        calls.append(self.beside(lambda: get(second)))
        time.sleep(0.5)
        self.backing.script.hang.clear()
        for call in calls:
            call.join()
        fetch = self.trace(first, GET_RESULT).one("fetch")
        joining = self.trace(second, GET_RESULT)
        self.assertEqual([link.span_id for link in joining.one(JOINED).links], [fetch.span_id])
        self.assertGreater(spent(joining.one(GET_RESULT, SERVER))["coalesced"], 0.2)
        self.assert_little(joining.one(GET_RESULT, SERVER), but="coalesced")


class LocalTests(WaitTestCase):
    """What takes long here, or at the client."""

    def test_slow_client(self) -> None:
        """A client that does not take what it is sent shows as network, as does one that does not send."""
        reader, writer = ClientSpan.new(), ClientSpan.new()
        client = self.connect(self.daemon)
        digest = write(client, os.urandom(40 * MIB))
        request = bytestream.ReadRequest(resource_name=read_name(digest))
        reading = client.byte_stream.Read(request, metadata=reader.traceparent())
        next(reading)
        client.byte_stream.Write(_slowly(os.urandom(1000)), metadata=writer.traceparent())
        list(reading)
        for span, method in ((reader, READ), (writer, WRITE)):
            called = self.trace(span, method).one(method, SERVER)
            self.assertGreater(spent(called)["network"], 0.7, method)
            self.assert_little(called, but="network")

    def test_disk(self) -> None:
        """A write says how long it waited for a thread, and how long the disk and the hash took there."""
        client = ClientSpan.new()
        write(self.connect(self.daemon), os.urandom(20 * MIB), client.traceparent())
        trace = self.trace(client, WRITE)
        told = spent(trace.one(WRITE, SERVER))
        self.assertGreater(told["disk"], 0.005)
        self.assertIn("thread_pool", told)
        self.assertIn("disk", spent(trace.one("LocalStore.Put")))

    def test_lock(self) -> None:
        """Who takes an upload over while another call writes says how long it waited for the lock."""
        client = self.connect(self.daemon)
        self.assertTrue(client.is_serving())  # so that the connection is there

        def take_over() -> bool:
            data, begun, taker = os.urandom(32 * MIB), threading.Event(), ClientSpan.new()
            name = write_name(digest_of(data))
            robbed = self.connect(self.daemon).byte_stream.Write.future(_told(name, data, begun))
            begun.wait()
            time.sleep(0.03)  # until the first piece is there, which is hashed and written now
            first = bytestream.WriteRequest(resource_name=name, data=data[:1])
            with contextlib.suppress(grpc.RpcError):  # it is no whole upload
                client.byte_stream.Write(iter([first]), metadata=taker.traceparent())
            robbed.cancel()
            told = json.loads(page(self.daemon, "/tracez?format=json").text)["requests"]
            mine = [kept["spans"][0] for kept in told if kept["trace_id"] == taker.trace_id]
            return any(span["spent_ms"].get("lock", 0) > 1 for span in mine)

        # It may come between two pieces, when nobody has the lock.
        eventually(take_over, "a wait for the lock")


def _told(name: str, data: bytes, begun: threading.Event) -> Iterator[bytestream.WriteRequest]:
    """The messages of an upload in large pieces; ``begun`` when the first was sent."""
    for message in write_requests(name, data, piece=8 * MIB):
        yield message
        begun.set()


def _slowly(data: bytes) -> Iterator[bytestream.WriteRequest]:
    """The only message of an upload, after a second."""
    time.sleep(1)
    yield from write_requests(write_name(digest_of(data)), data)
