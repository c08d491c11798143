"""The metrics of the gRPC server."""

from __future__ import annotations

from gorego_tw.grpc.factory import GRPCFactory
from gorego_tw.telemetry.observed import Observed


def observe_server(observed: Observed, server: GRPCFactory) -> None:
    """Let it be seen."""
    observed.gauge(
        "gorego_grpc_connections",
        "Open connections of clients",
        lambda: server.connections,
    )
    observed.gauge(
        "gorego_grpc_calls_in_flight",
        "Calls that are being served",
        lambda: server.open_calls,
    )
