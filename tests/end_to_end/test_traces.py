"""One trace through two daemons: from a client's span to what the backing daemon did for it."""

from __future__ import annotations

import os

import grpc

from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from tests.end_to_end.backing import Backing
from tests.end_to_end.client import digest_of
from tests.end_to_end.pages import metric
from tests.end_to_end.trace import CLIENT, SERVER, ClientSpan, Headers, Trace, arrived
from tests.end_to_end.traced import (
    BATCH_READ,
    BATCH_UPDATE,
    FIND_MISSING,
    GET_RESULT,
    READ,
    UPDATE_RESULT,
    WRITE,
    TracedTestCase,
    backing_cache,
    read,
    shared_chain,
    write,
)

SMALL = 1_000
LARGE = 300_000


class ChainTestCase(TracedTestCase):
    """Tests that share two daemons, one behind the other."""

    def setUp(self) -> None:
        super().setUp()
        self.chain = shared_chain()
        self.client = self.connect(self.chain.front)
        self.behind = self.connect(self.chain.backing)

    def assert_way(self, client: ClientSpan, *names: str) -> Trace:
        """A client's call was followed by one of the front daemon to the backing one.

        :param names: of the spans above that of the backing daemon, from its caller's up to that
            of the call which the client made.
        :returns: the trace, which has no other beginning than the client's span.
        """
        collector = self.chain.collector

        def is_whole(trace: Trace) -> bool:
            calls = {(span.name, span.kind) for span in trace}
            expected = {(names[-1], SERVER), (names[0], CLIENT), (names[0], SERVER)}
            return expected <= calls and len(collector.instances(trace)) == 2

        self.chain.hurry()
        trace = arrived(collector, client.trace_id, is_whole)
        self.assertEqual(trace.strangers, {client.span_id})
        (caller,) = trace.named(names[0], CLIENT)
        (behind,) = trace.children(caller)
        above = trace.above(behind)
        self.assertEqual([span.name for span in above], list(names))
        self.assertEqual((behind.kind, above[-1].kind), (SERVER, SERVER))
        self.assertEqual(above[-1].parent_span_id.hex(), client.span_id)
        self.assertEqual(len(collector.instances(above)), 1)
        self.assertEqual(len(collector.instances([behind, *above])), 2)
        return trace


class PropagationTests(ChainTestCase):
    """The headers of a client that traces its calls."""

    def read(self, headers: Headers) -> None:
        """Read a large blob that the backing daemon has."""
        data = os.urandom(LARGE)
        digest = self.behind.upload(data)
        self.assertEqual(read(self.client, digest, headers), data)

    def assert_read(self, client: ClientSpan) -> Trace:
        """The read is in the client's trace."""
        return self.assert_way(client, READ, "RemoteStore.Get", "fetch", "ProxyStore.Get", READ)

    def test_each_format(self) -> None:
        """By W3C's traceparent, B3's one header or its several, a trace goes through without a gap."""
        w3c, b3, b3_multi = (ClientSpan.new() for _ in range(3))
        self.read(w3c.traceparent())
        self.read(b3.b3())
        self.read(b3_multi.b3_multi())
        for client in (w3c, b3, b3_multi):
            self.assert_read(client)

    def test_tracestate(self) -> None:
        """What vendors wrote into the client's tracestate is on the spans of both daemons."""
        client, state = ClientSpan.new(), "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"
        self.read((*client.traceparent(), ("tracestate", state)))
        self.assertEqual({span.trace_state for span in self.assert_read(client)}, {state})


class OutgoingHeadersTests(TracedTestCase):
    """What a backing cache that is no daemon of ours is told."""

    def headers(self, sent: Headers, **settings: str) -> dict[str, str]:
        """What a read by a client with those headers brings along."""
        backing = Backing()
        self.addCleanup(backing.close)
        digest = backing.keep(b"wanted")
        target = backing_cache(backing.target)
        daemon = self.make_traced(self.make_collector(), **target, **settings).start()
        read(self.connect(daemon), digest, sent)
        (told,) = [told for method, told in backing.metadata if method == "BatchReadBlobs"]
        return told

    def test_by_default(self) -> None:
        """Trace and baggage travel on, by W3C's headers and by B3's single one."""
        client = ClientSpan.new()
        extra = (("tracestate", "a=b"), ("baggage", "team=infra,build=17"))
        told = self.headers((*client.traceparent(), *extra))
        version, trace_id, parent, flags = told["traceparent"].split("-")
        self.assertEqual((version, trace_id, flags), ("00", client.trace_id, "01"))
        self.assertNotEqual(parent, client.span_id)
        self.assertEqual(told["b3"], f"{trace_id}-{parent}-1")
        self.assertEqual(told["tracestate"], "a=b")
        self.assertEqual(set(told["baggage"].split(",")), {"team=infra", "build=17"})
        self.assertNotIn("x-b3-traceid", told)

    def test_b3_alone(self) -> None:
        """With b3multi alone a trace comes and goes by those headers, and traceparent says nothing."""
        client, other = ClientSpan.new(), ClientSpan.new()
        told = self.headers(
            (*client.b3_multi(), *other.traceparent()),
            GOREGO_TELEMETRY_PROPAGATORS="[b3multi]",
        )
        self.assertEqual((told["x-b3-traceid"], told["x-b3-sampled"]), (client.trace_id, "1"))
        self.assertNotIn("traceparent", told)
        self.assertNotIn("b3", told)


class StoreTests(ChainTestCase):
    """The way of each kind of call, from the backing daemon's span up to the client's."""

    def setUp(self) -> None:
        super().setUp()
        self.clients = [ClientSpan.new() for _ in range(4)]
        self.headers = [client.traceparent() for client in self.clients]

    def test_reads(self) -> None:
        """What is not here is looked up here, then there: blobs, small ones in batches, and results."""
        small, batched = self.behind.batch_update(os.urandom(SMALL), os.urandom(SMALL))
        read(self.client, small, self.headers[0])
        batch = reapi.BatchReadBlobsRequest(digests=[batched])
        self.client.cas.BatchReadBlobs(batch, metadata=self.headers[1])
        absent = digest_of(os.urandom(SMALL))
        find = reapi.FindMissingBlobsRequest(blob_digests=[absent])
        self.client.cas.FindMissingBlobs(find, metadata=self.headers[2])
        with self.assertRaises(grpc.RpcError):
            self.client.action_cache.GetActionResult(
                reapi.GetActionResultRequest(action_digest=absent), metadata=self.headers[3]
            )
        get = (BATCH_READ, "batch", "RemoteStore.Get", "fetch", "ProxyStore.Get")
        found = ("RemoteStore.FindMissing", "ProxyStore.FindMissing", FIND_MISSING)
        result = ("RemoteStore.GetActionResult", "fetch", "ProxyStore.GetActionResult", GET_RESULT)
        ways = (
            ("LocalStore.Get", (*get, READ)),
            ("LocalStore.Get", (*get, BATCH_READ)),
            ("LocalStore.FindMissing", (FIND_MISSING, "batch", *found)),
            ("LocalStore.GetActionResult", (GET_RESULT, *result)),
        )
        for client, (local, way) in zip(self.clients, ways, strict=True):
            trace = self.assert_way(client, *way)
            # One of each daemon.
            self.assertEqual(len(self.chain.collector.instances(trace.named(local))), 2, local)

    def test_writes(self) -> None:
        """A write is one here and one there, and is counted so; an action result goes there too."""
        name = 'gorego_cache_requests_total{method="Write",status="hit",tier="backing"}'
        before = metric(self.chain.front, name)
        write(self.client, os.urandom(LARGE), self.headers[0])
        self.assertEqual(metric(self.chain.front, name), before + 1)
        data = os.urandom(SMALL)
        one = reapi.BatchUpdateBlobsRequest.Request(digest=digest_of(data), data=data)
        update = reapi.BatchUpdateBlobsRequest(requests=[one])
        self.client.cas.BatchUpdateBlobs(update, metadata=self.headers[1])
        told = reapi.UpdateActionResultRequest(
            action_digest=digest_of(data), action_result=reapi.ActionResult(stdout_raw=b"said")
        )
        self.client.action_cache.UpdateActionResult(told, metadata=self.headers[2])
        put = ("RemoteStore.Put", "copy to the backing cache", "ProxyStore.Put")
        result = ("RemoteStore.PutActionResult", "ProxyStore.PutActionResult", UPDATE_RESULT)
        ways = (
            ("LocalStore.Put", (WRITE, *put, WRITE)),
            ("LocalStore.Put", (BATCH_UPDATE, "batch", *put, BATCH_UPDATE)),
            ("LocalStore.PutActionResult", (UPDATE_RESULT, *result)),
        )
        for client, (local, way) in zip(self.clients, ways, strict=False):
            trace = self.assert_way(client, *way)
            self.assertEqual(len(self.chain.collector.instances(trace.named(local))), 2, local)
