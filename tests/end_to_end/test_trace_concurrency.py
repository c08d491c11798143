"""A thousand requests at once: no span is ever another request's child."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections import Counter
from typing import Any

import grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from gorego_tw.pb.google.bytestream import bytestream_pb2 as bytestream
from tests.end_to_end.client import Stubs, asyncio_channel, digest_of, read_name
from tests.end_to_end.collector import attributes
from tests.end_to_end.daemon import eventually
from tests.end_to_end.trace import ARRIVE_SECONDS, SERVER, ClientSpan, Trace
from tests.end_to_end.traced import (
    FIND_MISSING,
    GET_RESULT,
    READ,
    TracedTestCase,
    shared_chain,
)

CHANNELS = 20
WAVES = 4
#: Of each kind in one wave. A daemon lets so many spans wait for the collector that all of a wave fit.
EACH = 84

#: Larger than what travels in batches, so that each is fetched alone, in bytes.
LARGE = 70_000

JOINED = "deduplicating request"

#: A span's name, and the same of those below it.
Shape = tuple[str, tuple[Any, ...]]


def shape(name: str, *below: Shape) -> Shape:
    """How a span and those below it look."""
    return name, tuple(sorted(below))


_READ = shape(
    READ,
    shape(
        "ProxyStore.Get",
        shape("LocalStore.Get"),
        shape("wait for the backing cache"),
        shape("fetch", shape("RemoteStore.Get", shape(READ, shape(READ, shape("LocalStore.Get"))))),
    ),
)
_JOINED = shape(READ, shape("ProxyStore.Get", shape("LocalStore.Get"), shape(JOINED)))
_HIT = shape(READ, shape("ProxyStore.Get", shape("LocalStore.Get")))
_RESULT = shape(
    GET_RESULT,
    shape(
        "ProxyStore.GetActionResult",
        shape("LocalStore.GetActionResult"),
        shape(
            "fetch",
            shape(
                "RemoteStore.GetActionResult",
                shape(GET_RESULT, shape(GET_RESULT, shape("LocalStore.GetActionResult"))),
            ),
        ),
    ),
)


def _find(*batches: Shape) -> Shape:
    return shape(
        FIND_MISSING,
        shape(
            "ProxyStore.FindMissing",
            shape("LocalStore.FindMissing"),
            shape("RemoteStore.FindMissing", *batches),
        ),
    )


#: Questions of one turn of the reactor leave together, in the trace of the first of them.
_BATCH = shape("batch", shape(FIND_MISSING, shape(FIND_MISSING, shape("LocalStore.FindMissing"))))
_EXPECTED = {READ: {_READ}, GET_RESULT: {_RESULT}, FIND_MISSING: {_find(), _find(_BATCH)}}


class Request:
    """One call, with the span of its client."""

    def __init__(self, method: str, data: bytes) -> None:
        self.method = method
        self.digest = digest_of(data)
        self.span = ClientSpan.new()

    async def make(self, stubs: Stubs) -> None:
        """Make it, whatever comes of it."""
        metadata = self.span.traceparent()
        if self.method == READ:
            request = bytestream.ReadRequest(resource_name=read_name(self.digest))
            async for _ in stubs.byte_stream.Read(request, metadata=metadata):
                pass
        elif self.method == FIND_MISSING:
            find = reapi.FindMissingBlobsRequest(blob_digests=[self.digest])
            await stubs.cas.FindMissingBlobs(find, metadata=metadata)
        else:
            get = reapi.GetActionResultRequest(action_digest=self.digest)
            try:
                await stubs.action_cache.GetActionResult(get, metadata=metadata)
            except grpc.RpcError as error:
                assert error.code() is grpc.StatusCode.NOT_FOUND, error


async def make_all(target: str, requests: list[Request]) -> None:
    """Make all of them at once, over many connections."""
    channels = [asyncio_channel(target) for _ in range(CHANNELS)]
    stubs = itertools.cycle([Stubs(channel) for channel in channels])
    await asyncio.gather(*(request.make(next(stubs)) for request in requests))
    for channel in channels:
        await channel.close()


class ConcurrencyTests(TracedTestCase):
    """Reads, lookups and questions that all go on to the backing daemon."""

    def setUp(self) -> None:
        super().setUp()
        self.chain = shared_chain()
        self.behind = self.connect(self.chain.backing)

    def test_a_thousand(self) -> None:
        """Each trace has the spans of its own request, of both daemons, one below the other, and no more."""
        requests = [request for _ in range(WAVES) for request in self.wave()]
        self.assertGreater(len(requests), 1000)
        traces = self.traces()
        for request in requests:
            trace = traces[request.span.trace_id]
            self.assertEqual(trace.strangers, {request.span.span_id})
            self.assertIn(shape_of(trace, request), _EXPECTED[request.method])
            asked = {attributes(span).get("reapi.digest.hash") for span in called(trace, request)}
            self.assertEqual(asked, {request.digest.hash})

    def test_one_blob(self) -> None:
        """Many who read one blob have a trace each; one of them has the fetch, to which others are linked."""
        blob = os.urandom(20 * LARGE)
        self.behind.upload(blob)
        requests = [Request(READ, blob) for _ in range(EACH)]
        asyncio.run(make_all(self.chain.front.target, requests))
        self.chain.hurry()
        allowed = {_READ, _JOINED, _HIT}

        def shapes() -> Counter[Shape | None]:
            traces = self.traces()
            return Counter(shape_of(traces.get(r.span.trace_id, Trace([])), r) for r in requests)

        eventually(lambda: set(shapes()) <= allowed, "all spans", ARRIVE_SECONDS)
        self.assertEqual(shapes()[_READ], 1)
        self.assertGreater(shapes()[_JOINED], 0)
        traces = [self.traces()[request.span.trace_id] for request in requests]
        (fetch,) = [span for trace in traces for span in trace.named("fetch")]
        links = [link for trace in traces for span in trace.named(JOINED) for link in span.links]
        self.assertEqual(
            {(link.trace_id, link.span_id) for link in links}, {(fetch.trace_id, fetch.span_id)}
        )
        for request, trace in zip(requests, traces, strict=True):
            self.assertEqual(trace.strangers, {request.span.span_id})

    def wave(self) -> list[Request]:
        """Make some requests, and wait until their spans have arrived."""
        blobs = [os.urandom(LARGE) for _ in range(EACH)]
        for blob in blobs:
            self.behind.upload(blob)
        requests = [Request(READ, blob) for blob in blobs]
        for method in (FIND_MISSING, GET_RESULT):
            requests += [Request(method, os.urandom(8)) for _ in range(EACH)]
        # One of each kind after the other.
        mixed = [requests[kind * EACH + at] for at in range(EACH) for kind in range(3)]
        asyncio.run(make_all(self.chain.front.target, mixed))
        self.chain.hurry()
        eventually(lambda: not self.wrong(requests), "the spans of a wave", ARRIVE_SECONDS)
        return requests

    def wrong(self, requests: list[Request]) -> list[Request]:
        """Those whose traces are not as they should be."""
        traces = self.traces()
        return [
            request
            for request in requests
            if request.span.trace_id not in traces
            or shape_of(traces[request.span.trace_id], request) not in _EXPECTED[request.method]
        ]

    def traces(self) -> dict[str, Trace]:
        """All traces so far."""
        spans: dict[str, list[Span]] = {}
        for span in self.chain.collector.spans:
            spans.setdefault(span.trace_id.hex(), []).append(span)
        return {trace_id: Trace(found) for trace_id, found in spans.items()}


def called(trace: Trace, request: Request) -> list[Span]:
    """The spans of the calls for one digest: the client's, and what the front daemon made of it."""
    alone = request.method != FIND_MISSING
    return [span for span in trace.named(request.method, SERVER) if alone or is_top(span, request)]


def is_top(span: Span, request: Request) -> bool:
    """Whether it is the child of the client's span."""
    return span.parent_span_id.hex() == request.span.span_id


def shape_of(trace: Trace, request: Request) -> Shape | None:
    """How it looks, from the child of the client's span on; None if not all spans have arrived."""

    def look(span: Span) -> Shape:
        return shape(span.name, *map(look, trace.children(span)))

    tops = [span for span in trace if is_top(span, request)]
    return look(tops[0]) if len(tops) == 1 else None
