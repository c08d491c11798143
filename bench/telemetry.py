"""What telemetry costs: the same hits from a daemon that records nothing, and from one that does."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import grpc

from bench.chain import Row, by_turns, daemon
from bench.workload import hits
from tests.end_to_end.daemon import free_port

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


class Price(NamedTuple):
    """What is recorded beside the metrics, and which part of the rate without any of it has to be left."""

    name: str
    required: float
    ratio: float


PRICES = (
    Price("hit 8 x 16, nothing traced", 1 / 1.15, 0.0),
    Price("hit 8 x 16, all to be traced", 1 / 1.5, 1.0),
)


class Sink(grpc.GenericRpcHandler):  # type: ignore[misc]  # the library has no types
    """Takes whatever it is sent, and looks at none of it: the processors are the daemon's."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        """Any method."""
        return grpc.unary_unary_rpc_method_handler(lambda _request, _context: b"")


@contextmanager
def collector() -> Iterator[str]:
    """A collector of traces, and where it is."""
    server = grpc.server(ThreadPoolExecutor(1), handlers=(Sink(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop(0).wait()


def rows(count: int, folder: Path) -> Iterator[Row]:
    """All lines, of so many rounds each."""
    with ExitStack() as stack:
        silent = stack.enter_context(daemon(folder / "silent", "without", METRICS_ADDR=""))
        endpoint = stack.enter_context(collector())
        for price in PRICES:
            with daemon(
                folder / f"ratio-{price.ratio:g}",
                "with",
                METRICS_ADDR=f"127.0.0.1:{free_port()}",
                TRACING_ENDPOINT=endpoint,
                SAMPLING_RATIO=str(price.ratio),
            ) as telling:
                workload = hits()._replace(name=price.name, required=price.required)
                yield by_turns(workload, telling, silent, count, folder)
