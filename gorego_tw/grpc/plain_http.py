"""The answer to a request that is HTTP/2 but not gRPC: a status and a line of text."""

from __future__ import annotations

from collections.abc import Callable

from gorego_tw.grpc.outbound import Outbound, Sender
from gorego_tw.grpc.request_head import PlainRequest
from gorego_tw.http2 import hpack
from gorego_tw.http2.connection import ServerConnection


class PlainAnswer:
    """Answers one request that no gRPC client makes: a browser, a load balancer's probe.

    :param ended: called with the stream's number when the answer is sent.
    """

    def __init__(
        self,
        connection: ServerConnection,
        sender: Sender,
        stream_id: int,
        ended: Callable[[int], None],
    ) -> None:
        self._connection = connection
        self._sender = sender
        self._ended = ended
        self._outbound = Outbound(stream_id, self._all_sent)

    def send(self, request: PlainRequest, *, without_body: bool) -> None:
        """Queue the answer.

        :param without_body: the method was HEAD.
        """
        body = request.message.encode() + b"\n"
        block = hpack.encode(
            (
                (b":status", b"%d" % request.status),
                (b"content-type", b"text/plain; charset=utf-8"),
                (b"content-length", b"%d" % len(body)),
            )
        )
        self._connection.respond(self._outbound.stream_id, block)
        if not without_body:
            self._outbound.put((body,))
        self._outbound.close()
        self._sender.add(self._outbound)

    def cancel(self) -> None:
        """The client has gone."""
        self._sender.drop(self._outbound)

    def _all_sent(self) -> None:
        self._connection.end(self._outbound.stream_id)
        self._ended(self._outbound.stream_id)
