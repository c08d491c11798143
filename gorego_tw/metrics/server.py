"""The metrics of the gRPC server."""

from __future__ import annotations

from collections.abc import Mapping

from gorego_tw.errors import Code
from gorego_tw.grpc.factory import GRPCFactory
from gorego_tw.grpc.traffic import Traffic
from gorego_tw.telemetry.observed import Observed


def observe_server(observed: Observed, server: GRPCFactory) -> None:
    """Let it be seen."""
    _observe_requests(observed, server)
    _observe_connections(observed, server)


def _observe_requests(observed: Observed, server: GRPCFactory) -> None:
    traffic = server.traffic
    observed.counters(
        "gorego_grpc_requests_total",
        "Calls that have ended, by the status they ended with",
        ("method", "code"),
        lambda: _by_code(traffic),
    )
    observed.gauge(
        "gorego_grpc_requests_in_flight",
        "Calls that are being served, each a stream of HTTP/2 that is open",
        lambda: server.open_calls,
    )
    observed.counter(
        "gorego_grpc_message_bytes_total",
        "The messages of requests (received) and replies (sent), as they were on the wire",
        {"received": lambda: traffic.received_bytes, "sent": lambda: traffic.sent_bytes},
        "direction",
    )


def _observe_connections(observed: Observed, server: GRPCFactory) -> None:
    traffic = server.traffic
    observed.gauge(
        "gorego_grpc_connections",
        "Open connections of clients",
        lambda: server.connections,
    )
    observed.counter(
        "gorego_grpc_connections_opened_total",
        "Connections that clients have opened",
        lambda: traffic.connections,
    )
    observed.counter(
        "gorego_grpc_streams_refused_total",
        "Streams that were more than a connection may have at once",
        lambda: server.streams_refused,
    )
    observed.counter(
        "gorego_grpc_streams_reset_total",
        "Streams that were broken off: by the client, or by the server since they broke the rules",
        {
            "client": lambda: traffic.streams_reset_by_client,
            "server": lambda: traffic.streams_reset_by_server,
        },
        "by",
    )


def _by_code(traffic: Traffic) -> Mapping[tuple[str, ...], float]:
    """Of each method those statuses that there were, and OK."""
    return {
        (name, code.name): method.codes[code]
        for name, method in traffic.methods.items()
        for code in Code
        if method.codes[code] or code is Code.OK
    }
